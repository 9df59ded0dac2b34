"""Sampling: the job's id decides; of other jobs a worker keeps the attempts that go wrong, as one tree."""

import contextvars
import itertools
import uuid
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import get_current_span

from orchestrator.settings import InvalidSettings, load
from orchestrator.telemetry import Spans, Telemetry, names, start
from orchestrator.telemetry.export import destinations, of_a_job
from orchestrator.telemetry.names import Kind, Outcome
from orchestrator.telemetry.provider import Provider
from orchestrator.telemetry.sampling import MOST_HELD, new_job, sampled
from orchestrator.telemetry.spans import within
from tests.telemetry.collecting import Memory

SHARES = (0.0, 0.01, 0.1, 0.5, 0.9, 1.0)


@pytest.fixture
def worker() -> Iterator[tuple[Telemetry, Memory]]:
    """What a worker records of jobs that are not sampled."""
    memory, provider = Memory(), Provider(0.0, hold=True)
    provider.outlet.batches = destinations("worker", "", memory, provider.outlet)
    telemetry = Telemetry(provider, 0.0)
    yield telemetry, memory
    telemetry.stop()


def attempt(telemetry: Telemetry, job_id: str, end: Outcome | Kind, calls: int = 1) -> None:
    """One attempt as Celery's span is around it; a call fails where its end is a kind of failure."""
    spans = telemetry.spans
    outer = spans.step(job_id, "around", "run/step", number=1, total=1, attempt=1)
    with outer, spans.step(job_id, "s", "s", number=1, total=1, attempt=1) as step:
        for number in range(calls):
            with spans.tool(job_id, "desk.book", {}, key=f"{job_id}.s:{number}") as call:
                if isinstance(end, Kind):
                    call.fail(end, "no")
        if isinstance(end, Outcome):
            step.end_as(end)


def test_of_many_jobs_the_share_is_sampled_also_of_those_of_one_moment() -> None:
    jobs = [int(new_job(1.0), 16) for _ in range(40_000)]  # some hundred in a millisecond, whose ids count up
    assert all(map(of_a_job, jobs))
    for share in SHARES:
        chosen = [sampled(job, share) for job in jobs]
        assert sum(chosen) / len(jobs) == pytest.approx(share, abs=0.02)
        changes = sum(one != other for one, other in itertools.pairwise(chosen))
        assert changes / len(jobs) == pytest.approx(2 * share * (1 - share), abs=0.02), "neighbours are decided alike"


def test_what_is_sampled_at_a_share_is_sampled_at_a_larger_one() -> None:
    for job in (int(new_job(1.0), 16) for _ in range(2_000)):
        decided = [sampled(job, share) for share in SHARES]
        assert decided == sorted(decided)


def test_a_job_that_is_submitted_in_a_sampled_span_is_sampled_and_in_another_one_as_its_id_says() -> None:
    yes, no = TracerProvider().get_tracer("app"), TracerProvider(ALWAYS_OFF).get_tracer("app")
    with yes.start_as_current_span("request"):
        jobs = {new_job(0.001) for _ in range(200)}
        assert not sampled(int(new_job(0.0), 16), 0.0)
    assert len(jobs) == 200
    assert all(sampled(int(job, 16), 0.001) for job in jobs)
    assert {uuid.UUID(job).version for job in jobs} == {7}
    with no.start_as_current_span("request"):
        assert not all(sampled(int(new_job(0.001), 16), 0.001) for _ in range(200))
        assert sampled(int(new_job(1.0), 16), 1.0)


def test_of_an_attempt_that_succeeds_nothing_is_kept(worker: tuple[Telemetry, Memory]) -> None:
    telemetry, memory = worker
    attempt(telemetry, new_job(0.0), Outcome.SUCCEEDED)
    attempt(telemetry, new_job(0.0), Outcome.WAITING)
    assert telemetry.flush()
    assert memory.jobs == {}


@pytest.mark.parametrize("end", [Outcome.FAILED, Outcome.RETRY, Outcome.CANCELLED, Kind.REJECTED])
def test_an_attempt_in_which_something_goes_wrong_is_kept_as_a_whole_under_one_root(
    worker: tuple[Telemetry, Memory], end: Outcome | Kind
) -> None:
    telemetry, memory = worker
    job_id, other = new_job(0.0), new_job(0.0)
    attempt(telemetry, other, Outcome.SUCCEEDED)
    attempt(telemetry, job_id, end)
    attempt(telemetry, job_id, Outcome.SUCCEEDED)
    attempt(telemetry, job_id, end)
    assert telemetry.flush()
    assert telemetry.flush()  # the root follows the first spans
    assert list(memory.jobs) == [job_id]
    trace = memory.trace(job_id)
    assert (trace.root.name, trace.root.span_id, trace.partial) == ("invoke_workflow trip", job_id[16:], True)
    assert trace.root.attributes[names.TENANT] == "acme"
    assert len(trace.nodes) == 1 + 2 * 3
    assert not any(node.orphan for node in trace.nodes)
    assert sum(not node.parent_id for node in trace.nodes) == 1


def test_of_a_jobs_attempts_side_by_side_only_the_one_that_fails_is_kept(worker: tuple[Telemetry, Memory]) -> None:
    telemetry, memory = worker
    job_id = new_job(0.0)
    with telemetry.spans.step(job_id, "good", "good", number=1, total=2, attempt=1) as good:
        contextvars.Context().run(attempt, telemetry, job_id, Outcome.FAILED)
        good.end_as(Outcome.SUCCEEDED)
    telemetry.flush()
    telemetry.flush()
    assert sorted(memory.spans(job_id)) == [
        *("execute_tool desk.book", "invoke_agent run/step", "invoke_agent s", "invoke_workflow trip")
    ]


def test_of_an_endless_attempt_the_newest_spans_are_held_without_orphans(worker: tuple[Telemetry, Memory]) -> None:
    telemetry, memory = worker
    job_id = new_job(0.0)
    attempt(telemetry, job_id, Kind.REJECTED, calls=1_000)
    telemetry.flush()
    telemetry.flush()
    trace = memory.trace(job_id)
    assert len(trace.nodes) == MOST_HELD + 1
    assert not any(node.orphan for node in trace.nodes)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_is_measured_leads_only_to_traces_that_exist(share: float) -> None:
    spans, job_id = Spans(Provider(share).get_tracer("t"), share), uuid.uuid4().hex
    assert (spans.traces(job_id), Spans(None).traces(job_id)) == (share == 1.0, False)
    with within(job_id, traced=spans.traces(job_id)):
        around = get_current_span().get_span_context()
    assert (around.trace_id, around.trace_flags.sampled) == (int(job_id, 16), share == 1.0)


def test_a_program_that_submits_records_nothing_of_a_job_that_is_not_sampled() -> None:
    memory = Memory()
    telemetry = start(load(trace_sample=0.0), "client", memory)
    with pytest.raises(ValueError, match="no"), telemetry.spans.open_job(telemetry.spans.new_job(), "trip") as span:
        span.event(names.Happening.VALIDATED, questions=0)
        raise ValueError("no")
    telemetry.stop()
    assert memory.jobs == {}
    assert len(Spans(None).new_job()) == 32


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan", "often", ""])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(InvalidSettings, match="SUREFOOT_TRACE_SAMPLE"):
        load(trace_sample=share)
