"""Spans of a tool server's process, for those who collect them: without an OTLP endpoint nothing is even imported."""

from collections.abc import Callable


def start(service: str, endpoint: str) -> Callable[[], None]:
    """Send this process's spans to an OTLP/HTTP endpoint, e.g. http://localhost:4318; empty: no tracing.

    The MCP SDK makes the spans; they join the job's trace by the `traceparent` in a request's `_meta`.

    Returns:
        What to call before the process leaves; it is also called at the process's exit.
    """
    if not endpoint:
        return _nothing
    from tools.otlp import trace_this_process  # noqa: PLC0415 - the SDK costs 0.1 s and 15 MB

    return trace_this_process(service, endpoint)


def _nothing() -> None:
    """There is nothing to stop."""
