"""Reading a job's spans back: order, depth, orphans, the failing span, pauses; and the picture of it."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.telemetry import names
from orchestrator.telemetry.timeline import duration, lines, title_of
from orchestrator.telemetry.tree import Trace

S = 1_000_000_000
T0 = 1_795_461_730 * S
JOB = "0199f2b4c1d27a10b0c1d2e3f4a5b6c7"
ROOT = JOB[16:]


def span(name: str, span_id: str, parent_id: str, start_s: float, end_s: float, **more: Any) -> bytes:
    fields = {
        "name": name,
        "span_id": span_id,
        "parent_id": parent_id,
        "kind": "internal",
        "start_ns": T0 + int(start_s * S),
        "end_ns": T0 + int(end_s * S),
        "status": "unset",
        "message": "",
        "attributes": {},
        "events": [],
        "links": [],
        "service": "surefoot-worker",
    }
    return json.dumps(fields | more).encode()


def step(
    name: str, span_id: str, start_s: float, end_s: float, number: int = 1, attempt: int = 1, **more: Any
) -> bytes:
    place = {names.STEP: name, names.STEP_NUMBER: number, names.STEP_TOTAL: 3, names.ATTEMPT: attempt, names.JOB: JOB}
    failed = {"attributes": place | more.pop("attributes", {})} | more
    return span(f"invoke_agent {name}", span_id, more.pop("parent_id", ROOT), start_s, end_s, **failed)


def failure(message: str, kind: str = "rejected") -> dict[str, Any]:
    return {"status": "error", "message": message, "attributes": {names.ERROR_TYPE: kind, names.OUTCOME: "failed"}}


def read(*rows: bytes) -> Trace:
    trace = Trace.read(rows)
    assert trace is not None
    return trace


def test_links_lead_to_spans_of_the_job_and_to_other_jobs_and_to_nothing_else() -> None:
    other = JOB.replace("0199", "0200")
    links = [f"{JOB}-a1", f"{other}-{other[16:]}", f"{'1' * 32}-{'2' * 16}", 7]
    trace = read(*TRIP, span("resume", "r1", ROOT, 20, 21, links=links, attributes={names.JOB: JOB}))
    (resume,) = [node for node in trace.nodes if node.name == "resume"]
    assert ([node.span_id for node in resume.before], resume.jobs) == (["a1"], [other])
    assert title_of(resume) == f"resume (goes on from attempt 1 of step flights: ended, job {other})"


TRIP = [
    span("invoke_workflow trip", ROOT, "", 0, 0.1),
    step("flights", "a1", 0.2, 1.2),
    span("execute_tool flights.search", "b1", "a1", 0.3, 1.0),
    step("hotels", "a2", 0.25, 0.9, number=2),
    step("report", "a3", 1.3, 1.5, number=3),
]


def test_spans_stand_under_their_parents_in_the_order_they_began() -> None:
    rows = list(TRIP)
    random.Random(3).shuffle(rows)
    trace = read(*rows)
    assert [(node.depth, node.name.split()[-1]) for node in trace.nodes] == [
        (0, "trip"),
        (1, "flights"),
        (2, "flights.search"),
        (1, "hotels"),
        (1, "report"),
    ]
    assert trace.nodes[1].duration_ms == pytest.approx(1_000)
    assert trace.failing is None


def test_a_span_kept_twice_counts_once_and_rows_that_are_none_are_counted() -> None:
    trace = read(*TRIP, *TRIP, b"{}", b"\xff", b"[1]", b'{"name": 1}')
    assert len(trace.nodes) == 5
    assert trace.unreadable == 4


def test_without_any_span_there_is_no_trace() -> None:
    assert Trace.read([]) is None
    assert Trace.read([b"nonsense"]) is None


def test_a_span_whose_parent_died_unsent_hangs_under_the_root_and_says_so() -> None:
    trace = read(*TRIP, span("execute_tool hotels.book", "c1", "lost", 0.4, 0.5))
    orphan = next(node for node in trace.nodes if node.span_id == "c1")
    assert (orphan.orphan, orphan.depth) == (True, 1)
    assert "its parent was lost" in title_of(orphan)


def test_while_the_roots_span_is_not_there_yet_the_tree_stands_all_the_same() -> None:
    trace = read(*TRIP[1:])
    assert (trace.root.name, trace.root.span_id) == ("job", ROOT)
    assert not any(node.orphan for node in trace.nodes)


def test_spans_that_are_each_others_parents_do_not_hang_the_reader() -> None:
    trace = read(*TRIP, span("x", "x", "y", 1, 2), span("y", "y", "x", 1, 2), span("self", "s", "s", 1, 2))
    assert len(trace.nodes) == 8


def test_the_failing_span_is_the_deepest_error_of_the_step_that_failed() -> None:
    bad_call = span("execute_tool hotels.book", "c2", "a2", 0.4, 0.5, **failure("no room"))
    trace = read(*TRIP[:3], step("hotels", "a2", 0.25, 0.9, number=2, **failure("no room")), bad_call)
    assert trace.failing is not None
    assert trace.failing.name == "execute_tool hotels.book"
    assert next(lines(trace)).startswith(
        "failed: step 2 of 3 (hotels): execute_tool hotels.book (failed): rejected: no room"
    )


def test_an_attempt_that_failed_before_one_that_succeeded_is_no_failure() -> None:
    trace = read(
        TRIP[0],
        step("hotels", "a2", 0.2, 0.4, **failure("503", "unavailable")),
        step("hotels", "a4", 0.8, 0.9, attempt=2),
    )
    assert trace.failing is None
    assert "attempt 2" in "\n".join(lines(trace))


def test_a_job_that_waited_for_days_took_as_long_as_it_worked() -> None:
    days = 3 * 86_400
    trace = read(*TRIP, span("answer", "d1", ROOT, days, days + 0.1), step("book", "a5", days + 0.2, days + 1.2))
    assert len(trace.pauses) == 1
    assert trace.worked_ns / S == pytest.approx(2.7)
    start, end = trace.place(trace.nodes[-1])
    assert (start, end) == (pytest.approx(1.7 / 2.7), pytest.approx(1))
    assert any("nothing ran for 3.0 d" in line for line in lines(trace))


def test_the_picture_has_a_line_for_each_span_and_shows_when_it_ran() -> None:
    shown = list(lines(read(*TRIP), width=100))
    assert len(shown) == 5
    assert [line.index("=") for line in shown[1:]] == sorted(line.index("=") for line in shown[1:])
    assert shown[2].startswith("│ └ execute_tool flights.search")
    assert len({len(line) for line in shown}) == 1


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0.04, "0.0 ms"), (12.34, "12.3 ms"), (1_500, "1.50 s"), (150_000, "2.5 min"), (2 * 86_400_000, "2.0 d")],
)
def test_durations_are_said_as_people_say_them(ms: float, said: str) -> None:
    assert duration(ms) == said


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 500), st.integers(0, 50)), max_size=12)
)
def test_whatever_the_spans_each_is_shown_once_within_the_line(shape: list[tuple[int, int, int, int]]) -> None:
    rows = [span("n", str(me), str(parent), start, start + took) for me, parent, start, took in shape]
    trace = Trace.read([TRIP[0], *rows])
    assert trace is not None
    assert len(trace.nodes) == 1 + len({me for me, *_ in shape})
    assert all(0 <= place <= 1.000001 for node in trace.nodes for place in trace.place(node))
    assert len(list(lines(trace))) == len(trace.nodes) + sum(1 for line in lines(trace) if "nothing ran" in line)
