"""Counts what the steps of this process do: attempts, waiting, tool calls, replays, refusals, lost leases, money."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager

from orchestrator.budget import MICRO, TOOLS
from orchestrator.settings import Settings
from orchestrator.state.calls import Cost
from orchestrator.state.records import Claim
from orchestrator.telemetry import names
from orchestrator.telemetry.metrics import Metrics, start
from orchestrator.telemetry.names import Kind, Metric, Outcome
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable


class Meter:
    """Turns what happens to a step into metrics; where nobody looks, each call returns at once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def attempt(self, claim: Claim, how: str, began: float) -> None:
        """An attempt ended; `how` as its task says it, `began` by `time.monotonic()`. What claimed nothing is none."""
        if claim.answer != "CLAIMED":
            return
        of = {names.AGENT: claim.specialist}
        outcome = Outcome.CANCELLED if how == "nothing" else Outcome(how)
        self._metrics.record(Metric.ATTEMPT_DURATION, time.monotonic() - began, {**of, names.OUTCOME: outcome})
        if claim.waited_ms >= 0:
            self._metrics.record(Metric.QUEUE_WAIT, claim.waited_ms / 1e3, of)

    @contextmanager
    def sending(self, tool: str, cost: Cost) -> Generator[None]:
        """A call goes out; what it cost is counted unless it certainly did not happen."""
        began, outcome, sent = time.monotonic(), str(Outcome.CANCELLED), True
        try:
            yield
            outcome = Outcome.SUCCEEDED
        except Rejected:
            outcome = Kind.REJECTED
            raise
        except NeedsInput:
            outcome = Outcome.WAITING
            raise
        except Unavailable:
            outcome, sent = Kind.UNAVAILABLE, False
            raise
        except OutcomeUnknown:
            outcome = Kind.OUTCOME_UNKNOWN
            raise
        finally:
            labels = {names.TOOL: tool, names.OUTCOME: outcome}
            self._metrics.record(Metric.TOOL_DURATION, time.monotonic() - began, labels)
            micro_usd = cost.micro_usd + cost.undo_micro_usd
            if sent and micro_usd:
                self._metrics.add(Metric.TOOL_USD, micro_usd / MICRO, {names.TOOL: tool})

    def replayed(self, tool: str) -> None:
        """A call was answered from the journal."""
        self._metrics.add(Metric.REPLAYS, labels={names.TOOL: tool})

    def refused(self, kind: str) -> None:
        """Something was not begun: this ceiling is reached. Globs are users' own texts and count as one."""
        ceiling = TOOLS.rstrip("/") if kind.startswith(TOOLS) else kind
        self._metrics.add(Metric.BUDGET_REFUSALS, labels={names.CEILING: ceiling})

    def low(self, kind: str) -> None:
        """80 % of a ceiling are used."""
        ceiling = TOOLS.rstrip("/") if kind.startswith(TOOLS) else kind  # globs are the users' words: not labels
        self._metrics.add(Metric.BUDGET_WARNINGS, labels={names.CEILING: ceiling})

    def lease_lost(self) -> None:
        """An attempt was stopped, as another worker may have its step."""
        self._metrics.add(Metric.LEASES_LOST)

    def stop(self) -> None:
        """Send the last values."""
        self._metrics.stop()


SERVICE = "surefoot-worker"
_here: dict[int, Metrics] = {}


def metrics(settings: Settings, *, page: bool = False) -> Metrics:
    """What this process counts with. `page`: it serves it on SUREFOOT_METRICS_PORT; a prefork child has OTLP only."""
    if os.getpid() not in _here:
        _here[os.getpid()] = start(settings if page else settings.model_copy(update={"metrics_port": 0}), SERVICE)
    return _here[os.getpid()]
