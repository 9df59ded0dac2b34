"""Opens the spans of a job: its root, its steps, its tool calls, and what happens to it in between.

The job's id is its trace id, and the last half of the id is the root span's id: any process can name a job's root
without being told, so a step that is re-driven after a crash still hangs where it belongs. An attempt's span has an id
made of its step and fence, so that whoever goes on with the step can link to it.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer

from orchestrator.telemetry import names
from orchestrator.telemetry.names import Happening, Kind, Outcome, Stage
from orchestrator.telemetry.redaction import as_text, redact_text
from orchestrator.telemetry.sampling import new_job, sampled

ROOT_OF: ContextVar[str] = ContextVar("surefoot_root_of", default="")
"""The job whose root span is being started; the generator of ids (`provider.py`) reads it."""
ATTEMPT: ContextVar[int] = ContextVar("surefoot_attempt", default=0)
"""The id of the attempt's span that is being started, likewise."""
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def traceparent(job_id: str) -> str:
    """The W3C trace context of a job's root span, for message headers."""
    return f"00-{job_id}-{job_id[16:]}-01"


@contextmanager
def unrecorded() -> Generator[None]:
    """Whatever is traced inside is not sampled."""
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 1, is_remote=False))))
    try:
        yield
    finally:
        otel_context.detach(token)


@contextmanager
def within(job_id: str, *, traced: bool = True) -> Generator[None]:
    """Whatever is measured inside leads to the job's trace, if it is traced, where the destination knows exemplars."""
    here = trace.get_current_span().get_span_context().trace_id == int(job_id, 16)
    token = otel_context.attach(otel_context.get_current() if here else _under_root(job_id, TraceFlags(traced)))
    try:
        yield
    finally:
        otel_context.detach(token)


class Span:
    """A span in progress; as a context manager it is the current one. Without tracing, nothing."""

    __slots__ = ("_ended", "_judged", "_span", "_token")

    def __init__(self, span: trace.Span | None) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self._judged = False
        self._ended = False

    def set(self, name: str, value: str | float | bool | list[str]) -> None:
        """Record one attribute, from `names`."""
        if self._span is not None:
            self._span.set_attribute(name, redact_text(value) if isinstance(value, str) else value)

    def event(self, what: Happening, /, **details: str | float | bool) -> None:
        """Record that something happened now."""
        if self._span is not None:
            said = {name: redact_text(value) if isinstance(value, str) else value for name, value in details.items()}
            self._span.add_event(what.value, said)

    def follow(self, job_id: str, step: str, fence: str) -> None:
        """Link it with the attempt of a step that it goes on from."""
        if self._span is not None and fence:
            span_id = _attempt(job_id, step, fence)
            self._span.add_link(SpanContext(int(job_id, 16), span_id, is_remote=True, trace_flags=SAMPLED))

    def answer(self, value: Any, *, replayed: bool = False) -> None:
        """Record a tool call's answer, redacted and cut, and whether it came from the journal."""
        if self._span is not None:
            self._span.set_attribute(names.TOOL_RESULT, as_text(value))
            self._span.set_attribute(names.REPLAYED, replayed)
            if self._judged:  # its outcome was unknown, until somebody could tell
                self._span.set_status(StatusCode.OK)
            self.end_as(Outcome.SUCCEEDED)

    def asks(self, questions: Sequence[str]) -> None:
        """Record that a tool asks people these questions before it goes on, redacted and cut."""
        self.event(Happening.ASKED, questions=len(questions), prompt=as_text("; ".join(questions)))
        self.end_as(Outcome.WAITING)

    @property
    def judged(self) -> bool:
        """Whether it was said how it ended."""
        return self._judged

    def end_as(self, outcome: Outcome) -> None:
        """Say how it ended, when that is no error; an exception that passes later is not counted as one."""
        if self._span is not None:
            self._judged = True
            self._span.set_attribute(names.OUTCOME, outcome.value)

    def fail(self, kind: str, message: str, outcome: Outcome = Outcome.FAILED) -> None:
        """Say that it failed, what kind of failure it was (one of `names.Kind`) and why."""
        if self._span is not None:
            self.end_as(outcome)
            self._span.set_attribute(names.ERROR_TYPE, str(kind))
            self._span.set_status(Status(StatusCode.ERROR, redact_text(message)))

    def discard(self) -> None:
        """Forget the span: what it stood for did not happen."""
        self._ended = True

    def __enter__(self) -> Self:
        if self._span is not None:
            self._token = otel_context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is None or self._token is None:
            return
        if error is not None and not self._judged:
            self._passed(error)
        otel_context.detach(self._token)
        self._token = None
        if not self._ended:
            self._ended = True
            self._span.end()

    def _passed(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # cancelled, or the process is leaving: not the step's fault
            self.end_as(Outcome.CANCELLED)
            return
        assert self._span is not None
        self._span.record_exception(error)
        kind = Kind.TIMEOUT if isinstance(error, TimeoutError) else Kind.UNHANDLED
        self.fail(kind, f"{type(error).__name__}: {error}")


NOTHING: Final = Span(None)


def current() -> Span:
    """The span that all this happens in, to add events to it."""
    span = trace.get_current_span()
    return Span(span) if span.is_recording() else NOTHING


class Spans:
    """Makes the spans of jobs; `Spans(None)` makes none and costs nothing."""

    __slots__ = ("_share", "_tracer")

    def __init__(self, tracer: Tracer | None, share: float = 1.0) -> None:
        """`share`: of all jobs, those that are traced as a whole."""
        self._tracer, self._share = tracer, share

    @property
    def on(self) -> bool:
        """Whether spans are recorded."""
        return self._tracer is not None

    def traces(self, job_id: str) -> bool:
        """Whether this job is traced as a whole."""
        return self.on and sampled(int(job_id, 16), self._share)

    def new_job(self) -> str:
        """A new job's id, which says whether it is sampled."""
        return new_job(self._share)

    def open_job(self, job_id: str, workflow: str, *, tenant: str = "", link: str = "") -> Span:
        """The root span of a job, from `submit` being called to its first messages being enqueued.

        A span of the caller's own is linked, not made the parent: the trace is the job's. So is the job `link`.
        """
        if self._tracer is None:
            return NOTHING
        caller = trace.get_current_span().get_span_context()
        name, attributes = root_of(job_id, workflow, tenant)
        links = [*([Link(caller)] if caller.is_valid and not link else []), *_links(link)]
        token = ROOT_OF.set(job_id)
        try:
            return Span(self._tracer.start_span(name, context=Context(), attributes=attributes, links=links))
        finally:
            ROOT_OF.reset(token)

    def stage(self, stage: Stage, job_id: str, *, link: str = "", **attributes: str | float | bool) -> Span:
        """What happens to a job outside its steps: answered, resumed, cancelled, forked to the job `link`."""
        if self._tracer is None:
            return NOTHING
        attributes, links = {**attributes, names.JOB: job_id}, _links(link)
        return Span(self._tracer.start_span(stage.value, context=_within(job_id), attributes=attributes, links=links))

    def step(
        self,
        job_id: str,
        step: str,
        specialist: str,
        *,
        number: int,
        total: int,
        attempt: int,
        fence: str = "",
        before: str = "",
        queue_wait_ms: float = -1,
    ) -> Span:
        """One attempt of a step, by its fence; it is linked with that of the fence `before`."""
        if self._tracer is None:
            return NOTHING
        attributes: dict[str, str | float] = {
            names.OPERATION: names.INVOKE_AGENT,
            names.AGENT: specialist,
            names.JOB: job_id,
            names.STEP: step,
            names.STEP_NUMBER: number,
            names.STEP_TOTAL: total,
            names.ATTEMPT: attempt,
        }
        if queue_wait_ms >= 0:
            attributes[names.QUEUE_WAIT_MS] = queue_wait_ms
        name, token = f"{names.INVOKE_AGENT} {specialist}", ATTEMPT.set(_attempt(job_id, step, fence) if fence else 0)
        try:
            span = Span(self._tracer.start_span(name, context=_within(job_id), attributes=attributes))
        finally:
            ATTEMPT.reset(token)
        span.follow(job_id, step, before)
        return span

    def tool(self, job_id: str, tool: str, arguments: Mapping[str, Any], *, key: str, call_id: str = "") -> Span:
        """One tool call, replayed or sent; the arguments are redacted and cut.

        `key` is the key it is sent with, `call_id` its place in the journal, where that is another one.
        """
        if self._tracer is None:
            return NOTHING
        tool = redact_text(tool)
        attributes = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.TOOL: tool,
            names.TOOL_CALL_ID: call_id or key,
            names.DEDUP_KEY: key,
            names.JOB: job_id,
            names.TOOL_ARGUMENTS: as_text(arguments),
        }
        name = f"{names.EXECUTE_TOOL} {tool}"
        return Span(self._tracer.start_span(name, context=_within(job_id), attributes=attributes))

    def model(self, job_id: str, model: str, prompt: Any, *, max_tokens: int, key: str) -> Span:
        """One model call, replayed or sent; the prompt is redacted and cut."""
        if self._tracer is None:
            return NOTHING
        model = redact_text(model)
        attributes: dict[str, str | int] = {
            names.OPERATION: names.CHAT,
            names.REQUEST_MODEL: model,
            names.REQUEST_MAX_TOKENS: max_tokens,
            names.DEDUP_KEY: key,
            names.JOB: job_id,
            names.INPUT_MESSAGES: as_text(prompt),
        }
        return Span(self._tracer.start_span(f"{names.CHAT} {model}", context=_within(job_id), attributes=attributes))


def root_of(job_id: str, workflow: str, tenant: str) -> tuple[str, dict[str, str]]:
    """What a job's root span is called, and what it says."""
    said = {names.OPERATION: names.INVOKE_WORKFLOW, names.WORKFLOW: workflow, names.JOB: job_id}
    return f"{names.INVOKE_WORKFLOW} {workflow}", said | ({names.TENANT: redact_text(tenant)} if tenant else {})


def _root(job_id: str, flags: TraceFlags = SAMPLED) -> SpanContext:
    return SpanContext(int(job_id, 16), int(job_id[16:], 16), is_remote=True, trace_flags=flags)


def _attempt(job_id: str, step: str, fence: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{job_id}.{step}.{fence}".encode(), digest_size=8).digest())


def _links(job_id: str) -> list[Link]:
    return [Link(_root(job_id))] if job_id else []


def _within(job_id: str) -> Context | None:
    """Where a job's span belongs: under the current span if that is the job's and recorded, else under the root."""
    around = trace.get_current_span()
    here = around.is_recording() and around.get_span_context().trace_id == int(job_id, 16)
    return None if here else _under_root(job_id)


def _under_root(job_id: str, flags: TraceFlags = SAMPLED) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_root(job_id, flags)), Context())
