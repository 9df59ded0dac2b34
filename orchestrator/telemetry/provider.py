"""The tracer provider: a job's id becomes the trace's id, and the trace of everything else is marked as nobody's."""

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from orchestrator.telemetry.export import NO_JOB_VERSION, VERSION_BITS, context_of, of_a_job, without_content
from orchestrator.telemetry.sampling import Held, sampled
from orchestrator.telemetry.spans import ATTEMPT, ROOT_OF

if TYPE_CHECKING:
    from orchestrator.telemetry.batches import Batches


class JobIds(RandomIdGenerator):
    """Ids of spans: those of a job's root and of attempts can be named by who knows these, all others are random."""

    def generate_trace_id(self) -> int:
        """The job's id for its root span, else a random one that no job can have."""
        job_id = ROOT_OF.get()
        return int(job_id, 16) if job_id else random.getrandbits(128) & ~VERSION_BITS | NO_JOB_VERSION

    def generate_span_id(self) -> int:
        """The last half of the job's id for its root span, that of an attempt, else random."""
        job_id = ROOT_OF.get()
        return int(job_id[16:], 16) if job_id else ATTEMPT.get() or super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Not all of it: six bits are fixed, and 48 are the time."""
        return False


class ByJob(Sampler):
    """A job is traced as its id says, whatever OTEL_TRACES_SAMPLER says around us; traces of no job are sampled."""

    def __init__(self, share: float, *, hold: bool) -> None:
        """`hold`: of other jobs our own spans are held, to be kept if something goes wrong. Libraries' cost more."""
        self._share, self._hold, self._other_traces = share, hold, ParentBased(ALWAYS_ON)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide."""
        if not of_a_job(trace_id):
            others = self._other_traces
            return others.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if sampled(trace_id, self._share):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        held = self._hold and kind is SpanKind.INTERNAL
        return SamplingResult(Decision.RECORD_ONLY if held else Decision.DROP, attributes)

    def get_description(self) -> str:
        """For who prints it."""
        return f"ByJob({self._share})"


class Outlet(SpanProcessor):
    """Hands finished spans to the batches that carry them away, and knows which ones are still open.

    Attributes:
        batches: where finished spans go; a forked child gives the inherited provider its own.
        content: what was asked and answered goes with them.
    """

    def __init__(self) -> None:
        self.batches: tuple[Batches[ReadableSpan], ...] = ()
        self.content = True
        self._open: WeakValueDictionary[int, ReadableSpan] = WeakValueDictionary()  # some are never ended: discarded
        self._told: WeakSet[ReadableSpan] = WeakSet()
        self._held: WeakKeyDictionary[ReadableSpan, Held] = WeakKeyDictionary()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember it."""
        del parent_context
        context = span.get_span_context()
        self._open[context.span_id] = span
        if not context.trace_flags.sampled:
            around = self._open.get(span.parent.span_id) if span.parent is not None else None
            held = self._held.get(around) if around is not None else None
            self._held[span] = held or Held(context.span_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand it on, or hold it until the attempt that it is part of has ended."""
        span_id = context_of(span).span_id
        begun = self._open.pop(span_id, None)  # `span` is a copy of it
        held = self._held.pop(begun, None) if begun is not None else None
        for kept in held.ended(span, span_id) if held is not None else (span,):
            self.send(kept)

    def send(self, span: ReadableSpan) -> None:
        """Let it be carried away."""
        span = span if self.content else without_content(span)
        for batches in self.batches:
            batches.add(span)

    def untold(self, span: ReadableSpan) -> Iterator[ReadableSpan]:
        """The spans around it that are still open, each once: they place what is in them if this process is killed."""
        while span.parent is not None:
            around = self._open.get(span.parent.span_id)
            if around is None or around in self._told:
                return
            self._told.add(around)
            yield around if self.content else without_content(around)
            span = around


class Provider(TracerProvider):
    """OpenTelemetry's own.

    The resource is added where spans leave for a collector (`otlp.py`): a forked child is another process.
    """

    def __init__(self, share: float = 1.0, *, hold: bool = False) -> None:
        sampler = ByJob(share, hold=hold)
        super().__init__(sampler, Resource.get_empty(), shutdown_on_exit=False, id_generator=JobIds())
        self.outlet = Outlet()
        self.add_span_processor(self.outlet)


def make_global(provider: Provider) -> None:
    """Let libraries in this process that trace themselves (the MCP SDK) use the provider."""
    if trace.get_tracer_provider() is not provider:
        trace.set_tracer_provider(provider)
