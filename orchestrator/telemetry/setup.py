"""Starts and stops telemetry in a process: where spans go, and who is traced."""

import atexit
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from orchestrator.settings import Settings
from orchestrator.telemetry import names
from orchestrator.telemetry.redaction import know
from orchestrator.telemetry.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from orchestrator.telemetry.batches import Batches
    from orchestrator.telemetry.provider import Provider

STOP_PATIENCE_S = 2.0


class SpanSink(Protocol):
    """Keeps the spans of jobs; called from a thread of its own, never from an event loop."""

    def append(self, spans: Mapping[str, list[bytes]]) -> None:
        """Add spans, each a JSON object, to the traces of their jobs. An error loses these spans and nothing else."""
        ...

    def rootless(self, jobs: Iterable[str]) -> Iterable[tuple[str, str, str, int]]:
        """Which of these jobs have no root span and are told so now, for the first time.

        Each with its workflow, its tenant and when it was submitted, milliseconds since 1970.
        """
        ...


class Telemetry:
    """What a process records, and where it sends it. `spans` makes the spans."""

    def __init__(self, provider: "Provider | None" = None, share: float = 1.0) -> None:
        """`provider`: what a child process made by fork takes over. None: nothing is recorded."""
        self.spans = Spans(provider.get_tracer(names.TRACER) if provider is not None else None, share)
        self.provider = provider

    @property
    def lost(self) -> int:
        """Spans that were dropped because their destination was down or too slow."""
        return sum(batches.lost for batches in self._batches)

    def instrument_celery(self) -> None:
        """Let Celery's tasks be spans, and messages carry the trace.

        For worker processes only: publishing a task that the process does not know would leave its span open.
        """
        if self.provider is not None:
            from orchestrator.telemetry.celery import OneRunAtATime  # noqa: PLC0415 - imports Celery

            if not OneRunAtATime().is_instrumented_by_opentelemetry:
                OneRunAtATime().instrument(tracer_provider=self.provider)

    def flush(self, timeout_s: float = STOP_PATIENCE_S) -> bool:
        """Send what is recorded; False if that did not succeed in time."""
        sent = [batches.flush(timeout_s) for batches in self._batches]
        return all(sent)

    def stop(self, timeout_s: float = STOP_PATIENCE_S) -> None:
        """Send what is recorded and record no more. Repeating it is harmless."""
        for batches in self._batches:
            batches.stop(timeout_s)
        atexit.unregister(self.stop)

    @property
    def _batches(self) -> "tuple[Batches[ReadableSpan], ...]":
        return self.provider.outlet.batches if self.provider is not None else ()


_process: Telemetry | None = None


def start(settings: Settings, service: str, sink: SpanSink | None = None, *, own_process: bool = False) -> Telemetry:
    """Start recording; in a forked child, call it again.

    `own_process`: the process is Surefoot's (a worker, the sweeper), so its libraries are traced too; in a program
    of somebody else the global tracer provider is left alone.
    """
    global _process  # noqa: PLW0603 - OpenTelemetry's global provider can be set once a process
    know(settings.given)
    if not settings.trace or (sink is None and not settings.otlp("traces")):
        return Telemetry()
    from orchestrator.telemetry import export, provider  # noqa: PLC0415 - the SDK costs 50 ms: not without tracing

    traced = None
    if own_process and _process is not None:
        _process.stop()
        traced = _process.provider
    share = settings.trace_sample
    traced = traced or provider.Provider(share, hold=own_process)
    traced.outlet.content = settings.trace_content == "redacted"
    traced.outlet.batches = export.destinations(service, settings.otlp("traces"), sink, traced.outlet)
    telemetry = Telemetry(traced, share)
    atexit.register(telemetry.stop)
    if own_process:
        _process = telemetry
        provider.make_global(traced)
    return telemetry
