"""How an attempt ended, as a value; and what each error means. The classification is one pure function."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator.state.records import Question
from orchestrator.telemetry.names import Kind
from tools.outcome import Rejected, ToolFailure, Unavailable


@dataclass(frozen=True)
class Succeeded:
    """The step's output, validated."""

    output: Any


@dataclass(frozen=True)
class Failed:
    """The step failed for good.

    Attributes:
        kind: rejected, invalid data, timeout, unavailable, diverged, unhandled, budget or deadline.
        message: one line for people.
        reason: why the job fails even if the step is optional (budget, deadline); finish: it is left out at a ceiling,
            and the job goes on without it; else empty.
    """

    kind: str
    message: str
    reason: str = ""


@dataclass(frozen=True)
class Later:
    """Something was unavailable: try again, not before `at_least_s`."""

    message: str
    at_least_s: float = 0.0


@dataclass(frozen=True)
class Parked:
    """The step waits for a person."""

    questions: Sequence[Question]


@dataclass(frozen=True)
class Lost:
    """The step is not ours any more: nothing may be committed."""

    why: str


Verdict = Succeeded | Failed | Later | Parked | Lost


class Stop(BaseException):
    """Ends an attempt from within `StepContext`; a specialist's `except Exception` does not swallow it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def classify(error: Exception) -> Verdict:
    """What an error that left the specialist means."""
    if isinstance(error, Rejected):
        return Failed("rejected", str(error))
    if isinstance(error, Unavailable):
        return later(error)
    return Failed("unhandled", f"{type(error).__name__}: {error}")


def later(error: ToolFailure) -> Later:
    """What a failure that may pass means for the step: another attempt, not before the server said."""
    return Later(str(error), error.retry_after_s or 0.0)


def misfit(specialist: str, problem: str, then: str, now: str) -> Failed:
    """The request was accepted when the job was submitted under version `then`, and version `now` cannot read it."""
    why = f"the job was submitted under another version ({then}; this worker: {now})"
    what = f"the request does not fit {specialist}: {problem}; {why}"
    return Failed("invalid data", f"{what}: go back, or let the new version take both; then resume the job")


def problems(error: ValidationError) -> str:
    """What is wrong where: the first three."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors()[:3])


def backoff_s(attempt: int, first_s: float, longest_s: float, at_least_s: float) -> float:
    """Exponential backoff with jitter, never before what a server's Retry-After asks.

    A uniform draw from the upper half of min(longest, first x 2^(attempt - 1)): steps that failed together do not come
    back together, and the least that all attempts wait in sum is known.
    """
    longest_s = min(longest_s, first_s * 2 ** min(attempt - 1, 30))
    return at_least_s + random.uniform(longest_s / 2, longest_s)  # noqa: S311 - no secret


def kind_of(kind: str) -> Kind:
    """The kind of a failure as spans name it."""
    return Kind.TIMEOUT if kind == "deadline" else Kind(kind) if kind in set(Kind) else Kind.UNHANDLED
