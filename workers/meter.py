"""Counts what the steps of this process do: attempts, waiting, calls, replays, refusals, lost leases, tokens, money."""

import os
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from orchestrator.budget import MICRO, TOOLS
from orchestrator.settings import Settings
from orchestrator.state.calls import Cost
from orchestrator.state.records import Claim
from orchestrator.telemetry import names
from orchestrator.telemetry.metrics import Labels, Metrics, start
from orchestrator.telemetry.names import Kind, Metric, Outcome
from orchestrator.telemetry.redaction import redact_text
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable

MOST_TENANTS, OTHERS = 50, "(others)"
"""So many tenants have a label of their own in a process, the first that it meets; the rest count as one."""
UNSEEN = nullcontext()


class Meter:
    """Turns what happens to a step into metrics; where nobody looks, each call returns at once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tenants: dict[str, str] = {}
        metrics.add(Metric.LEASES_LOST, 0)  # shown from the start, so that an alert sees the first one

    @property
    def seen(self) -> bool:
        """Whether anybody can see what is counted."""
        return self._metrics.seen

    def attempt(self, claim: Claim, how: str, began: float) -> None:
        """An attempt ended; `how` as its task says it, `began` by `time.monotonic()`. What claimed nothing is none."""
        if claim.answer != "CLAIMED":
            return
        of = {names.AGENT: claim.specialist}
        outcome = Outcome.CANCELLED if how == "nothing" else Outcome(how)
        self._metrics.record(Metric.ATTEMPT_DURATION, time.monotonic() - began, {**of, names.OUTCOME: outcome})
        if claim.waited_ms >= 0:
            self._metrics.record(Metric.QUEUE_WAIT, claim.waited_ms / 1e3, of)

    def sending(self, tool: str, cost: Cost, tenant: str) -> AbstractContextManager[None]:
        """A tool call goes out; what it cost is counted unless it certainly did not happen."""
        return self._sending(tool, cost, tenant) if self.seen else UNSEEN

    @contextmanager
    def _sending(self, tool: str, cost: Cost, tenant: str) -> Generator[None]:
        sent = True
        try:
            with self._timed(Metric.TOOL_DURATION, {names.TOOL: tool}):
                yield
        except Unavailable:
            sent = False
            raise
        finally:
            micro_usd = cost.micro_usd + cost.undo_micro_usd
            if sent and micro_usd:
                labels = {names.TOOL: tool, names.TENANT: self._named(tenant)}
                self._metrics.add(Metric.TOOL_USD, micro_usd / MICRO, labels)

    def asking(self, model: str) -> AbstractContextManager[None]:
        """A model call goes out."""
        return self._timed(Metric.MODEL_DURATION, {names.REQUEST_MODEL: redact_text(model)})

    def charged(self, model: str, used: Cost, tenant: str) -> None:
        """A model call cost so many tokens and so much money, or may have, where its outcome is unknown."""
        labels = {names.REQUEST_MODEL: redact_text(model), names.TENANT: self._named(tenant)}
        for kind, tokens in (("input", used.input_tokens), ("output", used.output_tokens)):
            self._metrics.add(Metric.MODEL_TOKENS, tokens, {**labels, names.TOKEN_TYPE: kind})
        if used.micro_usd:
            self._metrics.add(Metric.MODEL_USD, used.micro_usd / MICRO, labels)

    def cached(self, model: str) -> None:
        """A model call was answered from the cache."""
        self._metrics.add(Metric.MODEL_CACHED, labels={names.REQUEST_MODEL: redact_text(model)})

    @contextmanager
    def _timed(self, metric: Metric, labels: Labels) -> Generator[None]:
        """Measure a call by how it ends."""
        began, outcome = time.monotonic(), str(Outcome.CANCELLED)
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
            outcome = Kind.UNAVAILABLE
            raise
        except OutcomeUnknown:
            outcome = Kind.OUTCOME_UNKNOWN
            raise
        finally:
            self._metrics.record(metric, time.monotonic() - began, {**labels, names.OUTCOME: outcome})

    def _named(self, tenant: str) -> str:
        """A tenant as a label: tenants may be many, and named anything."""
        if tenant not in self._tenants and len(self._tenants) < MOST_TENANTS:
            self._tenants[tenant] = redact_text(tenant)
        return self._tenants.get(tenant, OTHERS)

    def replayed(self, call: str) -> None:
        """A call, to this tool or to a model, was answered from the journal."""
        self._metrics.add(Metric.REPLAYS, labels={names.TOOL: call})

    def refused(self, kind: str, tenant: str) -> None:
        """Something was not begun: this ceiling is reached. Globs are users' own texts and count as one."""
        ceiling = TOOLS.rstrip("/") if kind.startswith(TOOLS) else kind
        self._metrics.add(Metric.BUDGET_REFUSALS, labels={names.CEILING: ceiling, names.TENANT: self._named(tenant)})

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
