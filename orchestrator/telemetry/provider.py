"""The tracer provider of a process: hands out recorders, and finished spans to the batches that carry them away."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from orchestrator.telemetry.recording import Recorder, Recording, Scope

if TYPE_CHECKING:
    from orchestrator.telemetry.batches import Batches


class Provider(trace.TracerProvider):
    """Records everything, whatever OTEL_TRACES_SAMPLER says to the program around us.

    Attributes:
        batches: where finished spans go; a forked child gives the inherited provider its own.
    """

    def __init__(self) -> None:
        self.batches: tuple[Batches, ...] = ()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Recorder:
        """A recorder for a library, or for us."""
        del attributes
        return Recorder(
            self._done, Scope(instrumenting_module_name, instrumenting_library_version or "", schema_url or "")
        )

    def _done(self, span: Recording) -> None:
        for batches in self.batches:
            batches.add(span)


def make_global(provider: Provider) -> None:
    """Let libraries in this process that trace themselves (the MCP SDK) use the provider."""
    if trace.get_tracer_provider() is not provider:
        trace.set_tracer_provider(provider)
