"""What is counted and measured: every instrument in one table. Without a destination each call returns at once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.settings import Settings
from orchestrator.telemetry import names
from orchestrator.telemetry.names import Metric

if TYPE_CHECKING:
    from orchestrator.telemetry.metering import Meters

Labels = Mapping[str, str]
Readings = Mapping[Metric, Iterable[tuple[float, Labels]]]
BELIEVED_S = 1.0
"""One look serves all gauges of a page."""


@dataclass(frozen=True)
class Instrument:
    """What a metric is: its kind, its unit (UCUM; what is counted stands in braces), and what it says.

    A total is a counter whose value is read where it is kept, as a gauge's is.
    """

    kind: Literal["counter", "histogram", "gauge", "total"]
    unit: str
    says: str
    bounds: tuple[float, ...] = ()


QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
LONG = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

TABLE: Mapping[Metric, Instrument] = {
    Metric.SWEEPS: Instrument("counter", "{sweep}", "Sweeps of this process"),
    Metric.SWEEP_DURATION: Instrument("histogram", "s", "How long a sweep of this process took", QUICK),
    Metric.FINDINGS: Instrument("counter", "{finding}", "What this process's sweeps found and put right"),
    Metric.REDRIVES: Instrument("counter", "{step}", "Steps that this process's sweeps enqueued once more"),
    Metric.ATTEMPT_DURATION: Instrument("histogram", "s", "How long attempts of steps took", LONG),
    Metric.QUEUE_WAIT: Instrument("histogram", "s", "How long a step was ready before its first claim", LONG),
    Metric.TOOL_DURATION: Instrument("histogram", "s", "How long tool calls took that were sent", LONG),
    Metric.TOOL_USD: Instrument("counter", "{usd}", "Price of the tool calls that were sent, US dollars"),
    Metric.MODEL_DURATION: Instrument("histogram", "s", "How long model calls took that were sent", LONG),
    Metric.MODEL_TOKENS: Instrument("counter", "{token}", "Tokens that model calls cost"),
    Metric.MODEL_USD: Instrument("counter", "{usd}", "Price of these tokens, US dollars"),
    Metric.MODEL_CACHED: Instrument("counter", "{call}", "Model calls that were answered from the cache"),
    Metric.REPLAYS: Instrument("counter", "{call}", "Calls that were answered from the journal"),
    Metric.BUDGET_WARNINGS: Instrument("counter", "{warning}", "Ceilings of which 80 % were used, once each"),
    Metric.BUDGET_REFUSALS: Instrument("counter", "{refusal}", "Steps and calls not begun, at a ceiling"),
    Metric.LEASES_LOST: Instrument("counter", "{lease}", "Attempts stopped because their lease was lost"),
    Metric.JOBS: Instrument("gauge", "{job}", "Jobs that are kept"),
    Metric.JOBS_OLDEST: Instrument("gauge", "s", "How long a job has had a status that is not final"),
    Metric.JOBS_REACHED: Instrument("total", "{job}", "Jobs that ever came to a status"),
    Metric.QUEUE_DEPTH: Instrument("gauge", "{step}", "Steps that wait for a worker"),
    Metric.QUEUE_OLDEST: Instrument("gauge", "s", "How long the oldest of them has waited"),
    Metric.LEASES: Instrument("gauge", "{step}", "Steps that a worker holds"),
    Metric.AGAIN: Instrument("gauge", "{step}", "Steps that were re-driven or are to be tried again"),
    Metric.CALLS_IN_DOUBT: Instrument("gauge", "{call}", "Calls in doubt, about which a person is asked"),
    Metric.JOBS_IN_DOUBT: Instrument("gauge", "{job}", "Jobs that wait for an answer about a call in doubt"),
    Metric.PROCESSES: Instrument("gauge", "{process}", "Processes that say they are alive, and those that fell silent"),
    Metric.LOST: Instrument("total", "{item}", "Spans and log lines of this process that nobody took"),
    Metric.REDIS_MEMORY: Instrument("gauge", "By", "Memory that Redis uses"),
    Metric.REDIS_MEMORY_LIMIT: Instrument("gauge", "By", "Memory that Redis may use; not there without a limit"),
}


class Metrics:
    """What a process counts and measures."""

    def __init__(self, meters: "Meters | None" = None) -> None:
        self._meters = meters

    @property
    def seen(self) -> bool:
        """Whether anybody can see them."""
        return self._meters is not None

    def add(self, metric: Metric, amount: float = 1, labels: Labels | None = None) -> None:
        """Count."""
        if self._meters is not None:
            self._meters.instruments[metric].add(amount, labels)

    def record(self, metric: Metric, value: float, labels: Labels | None = None) -> None:
        """Measure one value of many."""
        if self._meters is not None:
            self._meters.instruments[metric].record(value, labels)

    def watch(self, *metrics: Metric, look: Callable[[], Readings]) -> None:
        """Let gauges and totals be read by `look` when somebody wants to know; what it does not answer is not shown."""
        if self._meters is not None:
            seen = _Seen(look)
            for metric in metrics:
                self._meters.observe(metric, seen.of)

    def page(self) -> bytes:
        """All of it as Prometheus reads it."""
        return self._meters.page() if self._meters is not None else b""

    def stop(self, timeout_s: float = 2.0) -> None:
        """Send the last values. Repeating it is harmless."""
        if self._meters is not None:
            self._meters.stop(timeout_s)


class _Seen:
    """The last look, believed for a second."""

    def __init__(self, look: Callable[[], Readings]) -> None:
        self._look, self._lock = look, threading.Lock()
        self._readings: Readings = {}
        self._until = 0.0

    def of(self, metric: Metric) -> Iterable[tuple[float, Labels]]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._readings, self._until = self._look(), time.monotonic() + BELIEVED_S
            return self._readings.get(metric, ())


def start(settings: Settings, service: str) -> Metrics:
    """Begin to count in this process, if somebody can see it: on SUREFOOT_METRICS_PORT or SUREFOOT_OTLP_ENDPOINT."""
    endpoint = settings.otlp("metrics")
    if not settings.metrics_port and not endpoint:
        return Metrics()
    from orchestrator.telemetry.metering import Meters  # noqa: PLC0415 - the SDK costs 50 ms: not where nobody looks

    metrics = Metrics(Meters(service, endpoint))
    metrics.watch(Metric.LOST, look=_lost)
    return metrics


def _lost() -> Readings:
    from orchestrator.telemetry.batches import lost  # noqa: PLC0415 - as above

    counts = Counter[tuple[str, str]]()
    for what, destination, count in lost():
        counts[what, destination] += count
    return {Metric.LOST: [(n, {names.CARRIED: what, names.DESTINATION: to}) for (what, to), n in counts.items()]}
