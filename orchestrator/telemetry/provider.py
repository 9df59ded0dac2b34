"""The tracer provider: a job's id becomes the trace's id, and the trace of everything else is marked as nobody's."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from orchestrator.telemetry.export import NO_JOB_VERSION, VERSION_BITS, context_of
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


class Outlet(SpanProcessor):
    """Hands finished spans to the batches that carry them away, and knows which ones are still open.

    Attributes:
        batches: where finished spans go; a forked child gives the inherited provider its own.
    """

    def __init__(self) -> None:
        self.batches: tuple[Batches, ...] = ()
        self._open: WeakValueDictionary[int, ReadableSpan] = WeakValueDictionary()  # some are never ended: discarded
        self._told: WeakSet[ReadableSpan] = WeakSet()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember it."""
        del parent_context
        self._open[span.get_span_context().span_id] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Hand it on."""
        self._open.pop(context_of(span).span_id, None)
        for batches in self.batches:
            batches.add(span)

    def untold(self, span: ReadableSpan) -> Iterator[ReadableSpan]:
        """The spans around it that are still open, each once: they place what is in them if this process is killed."""
        while span.parent is not None:
            around = self._open.get(span.parent.span_id)
            if around is None or around in self._told:
                return
            self._told.add(around)
            yield around
            span = around


class Provider(TracerProvider):
    """OpenTelemetry's own; a job is traced as a whole or not at all, whatever OTEL_TRACES_SAMPLER says around us.

    The resource is added where spans leave for a collector (`otlp.py`): a forked child is another process.
    """

    def __init__(self) -> None:
        super().__init__(ParentBased(ALWAYS_ON), Resource.get_empty(), shutdown_on_exit=False, id_generator=JobIds())
        self.outlet = Outlet()
        self.add_span_processor(self.outlet)


def make_global(provider: Provider) -> None:
    """Let libraries in this process that trace themselves (the MCP SDK) use the provider."""
    if trace.get_tracer_provider() is not provider:
        trace.set_tracer_provider(provider)
