"""What a job may spend, and what it has spent. Money is counted in whole micro-USD, so that sums are exact."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from orchestrator.errors import InvalidRequest

MICRO = 1_000_000
KINDS = ("steps", "tool_calls", "tokens", "usd")
UNLIMITED = -1
LARGEST = 2**53 - 1
"""Redis scripts count in doubles: above this, one more is no longer one more."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The ceilings of one job; None means no ceiling.

    Attributes:
        steps: steps that may start (a step's retries are the same step).
        tool_calls: tool calls that may be sent, retries included, replays not.
        tokens: model tokens, input and output together.
        seconds: wall-clock seconds from submission, time spent waiting for a person not counted.
        usd: money in US dollars, for models and for tools with a price.
    """

    steps: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount.

        Raises:
            InvalidRequest: a ceiling is negative, not finite, not a number, or too large to be counted exactly.
        """
        for field in fields(self):
            amount = getattr(self, field.name)
            whole = field.name in {"steps", "tool_calls", "tokens"}
            if amount is None:
                continue
            if isinstance(amount, bool) or not isinstance(amount, int if whole else int | float):
                raise InvalidRequest(f"budget {field.name} must be a {'whole ' if whole else ''}number, not {amount!r}")
            if not math.isfinite(amount) or amount < 0 or amount * MICRO > LARGEST:
                raise InvalidRequest(f"budget {field.name} must be between 0 and {LARGEST // MICRO}, not {amount!r}")

    def ceilings(self) -> dict[str, int]:
        """The countable ceilings as the ledger keeps them: whole numbers, money in micro-USD, -1 for none."""
        amounts = {kind: getattr(self, kind) for kind in KINDS}
        if amounts["usd"] is not None:
            amounts["usd"] = round(amounts["usd"] * MICRO)
        return {kind: UNLIMITED if amount is None else int(amount) for kind, amount in amounts.items()}

    @classmethod
    def of(cls, budget: "Budget | Mapping[str, Any] | None") -> "Budget":
        """A budget from what callers pass: a Budget, a mapping of its fields, or None for no ceilings."""
        if isinstance(budget, Budget):
            return budget
        try:
            return cls(**(budget or {}))
        except TypeError as error:
            raise InvalidRequest(
                f"budget: {error}; its ceilings are {', '.join(f.name for f in fields(cls))}"
            ) from None


@dataclass(frozen=True)
class Amount:
    """One line of the ledger: whole numbers, money in micro-USD. spent + reserved never exceeds the ceiling."""

    spent: int
    reserved: int
    ceiling: int | None

    @property
    def free(self) -> int | None:
        """What is left, or None where there is no ceiling."""
        return None if self.ceiling is None else self.ceiling - self.spent - self.reserved


@dataclass(frozen=True)
class Spend:
    """What a job has spent and reserved of each ceiling at one moment."""

    steps: Amount
    tool_calls: Amount
    tokens: Amount
    usd: Amount
    seconds_left: float | None = None

    @classmethod
    def read(cls, row: Mapping[str, str], seconds_left: float | None = None) -> Self:
        """From the ledger's fields `spent:<kind>`, `held:<kind>` and `max:<kind>` of the job record."""
        amounts: list[Amount] = []
        for kind in KINDS:
            ceiling = int(row.get(f"max:{kind}", UNLIMITED))
            spent, held = int(row.get(f"spent:{kind}", 0)), int(row.get(f"held:{kind}", 0))
            amounts.append(Amount(spent, held, None if ceiling == UNLIMITED else ceiling))
        return cls(*amounts, seconds_left=seconds_left)
