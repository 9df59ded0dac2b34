"""What a job may spend, and what it has spent. Money is counted in whole micro-USD, so that sums are exact."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from orchestrator.errors import InvalidRequest

MICRO = 1_000_000
KINDS = ("steps", "tool_calls", "tokens", "input_tokens", "output_tokens", "usd", "answer_bytes")
TOOLS = "tools/"
"""Before a glob of tools: the kind of its own ceiling."""
DAY = "day/"
"""Before tokens or usd: what the tenant's jobs may spend together on a day."""
UNDO, UNDO_USD = "undo", "undo_usd"
"""What undoing costs: tool calls, which have a ceiling of their own, and money."""
UNLIMITED = -1
AtCeiling = Literal["fail", "ask", "finish"]
LARGEST = 2**53 - 1
"""Redis scripts count in doubles: above this, one more is no longer one more."""
GLOB, MOST_GLOBS = re.compile(r"[\w.*?\[\]!-]{1,128}", re.ASCII), 50


def named(kind: str) -> str:
    """A kind of the ledger as people read it: "tool calls", "calls of flights.book_*"."""
    if kind == UNDO:
        return "tool calls to undo"
    if kind.startswith(DAY):
        return f"{kind.removeprefix(DAY)} a day"
    return f"calls of {kind.removeprefix(TOOLS)}" if kind.startswith(TOOLS) else kind.replace("_", " ")


def figure(kind: str, amount: int) -> str:
    """An amount of the ledger as people read it, money in US dollars."""
    return f"{amount / MICRO:g}" if kind.endswith("usd") else str(amount)


def globs_of(kinds: str) -> tuple[str, ...]:
    """The globs of a list of kinds as the record keeps it: "tools/flights.*,tools/hotels.book,"."""
    return tuple(kind.removeprefix(TOOLS) for kind in kinds.split(",") if kind)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The ceilings of one job; None means no ceiling.

    Attributes:
        steps: steps that may start (a step's retries are the same step).
        tool_calls: tool calls that may be sent, retries included, replays not.
        tools: the same for single tools: `<server>.<tool>` or a glob of such names -> calls,
            e.g. `{"flights.book_*": 1}`.
        tokens: model tokens, input and output together.
        input_tokens: model tokens sent.
        output_tokens: model tokens received.
        seconds: wall-clock seconds from submission, time spent waiting for a person not counted.
        usd: money in US dollars, for models and for tools with a price.
        answer_bytes: bytes of the answers of all tools, as JSON.
        at_ceiling: what happens at a ceiling. `fail` (the default): the job fails, keeps what it finished, and can be
            resumed. `ask`: the steps that need more wait for a person to raise it. `finish`: no new work; the plan's
            last step makes what it can of the rest.
    """

    steps: int | None = None
    tool_calls: int | None = None
    tools: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None
    answer_bytes: int | None = None
    at_ceiling: AtCeiling | None = None

    def __post_init__(self) -> None:
        """Refuse what is no amount.

        Raises:
            InvalidRequest: a ceiling is negative, not finite, not a number, or too large to be counted exactly; or a
                name of `tools` is no tool and no glob.
        """
        for each in fields(self):
            if each.name not in {"tools", "at_ceiling"}:
                _check(each.name, getattr(self, each.name), whole=each.name not in {"seconds", "usd"})
        if self.at_ceiling not in (None, *get_args(AtCeiling)):
            raise InvalidRequest(f"budget at_ceiling must be fail, ask or finish, not {_shown(self.at_ceiling)}")
        tools: Any = self.tools
        if not isinstance(tools, Mapping) or len(self.tools) > MOST_GLOBS:
            raise InvalidRequest(f"budget tools must map at most {MOST_GLOBS} tools or globs to numbers of calls")
        for glob, calls in self.tools.items():
            if not isinstance(glob, str) or not GLOB.fullmatch(glob):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidRequest(f"budget tools: {glob!r} is no <server>.<tool> and no glob of such names")
            _check(f"tools {glob}", calls, whole=True)

    def ceilings(self) -> dict[str, int]:
        """The countable ceilings as the ledger keeps them: whole numbers, money in micro-USD, -1 for none."""
        amounts = {kind: getattr(self, kind) for kind in KINDS}
        if amounts["usd"] is not None:
            amounts["usd"] = round(amounts["usd"] * MICRO)
        amounts |= {TOOLS + glob: calls for glob, calls in self.tools.items()}
        return {kind: UNLIMITED if amount is None else int(amount) for kind, amount in amounts.items()}

    def amounts(self) -> dict[str, int]:
        """What it names, as the ledger counts it, and whole `seconds`; what is part of another amount is in it, too."""
        named = {kind: amount for kind, amount in self.ceilings().items() if amount > 0}
        if self.seconds:
            named["seconds"] = math.ceil(self.seconds)
        calls = sum(amount for kind, amount in named.items() if kind.startswith(TOOLS))
        tokens = named.get("input_tokens", 0) + named.get("output_tokens", 0)
        for kind, parts in (("tool_calls", calls), ("tokens", tokens)):
            if parts:
                named[kind] = max(parts, named.get(kind, 0))
        return named

    @classmethod
    def of(cls, budget: "Budget | Mapping[str, Any] | None") -> "Budget":
        """A budget from what callers pass: a Budget, a mapping of its fields, or None for no ceilings."""
        if budget is None or isinstance(budget, Budget):
            return budget or cls()
        known = f"its ceilings are {', '.join(f.name for f in fields(cls))}"
        if not isinstance(budget, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"budget must be a Budget or a dict of ceilings, not {_shown(budget)}; {known}")
        try:
            return cls(**budget)
        except TypeError as error:
            raise InvalidRequest(f"budget: {error}; {known}") from None


def _check(name: str, amount: Any, *, whole: bool) -> None:
    if amount is None:
        return
    if isinstance(amount, bool) or not isinstance(amount, int if whole else int | float):
        raise InvalidRequest(f"budget {name} must be a {'whole ' if whole else ''}number, not {amount!r}")
    if not 0 <= amount <= LARGEST / MICRO:  # NaN is not, either
        raise InvalidRequest(f"budget {name} must be between 0 and {LARGEST // MICRO}, not {_shown(amount)}")


def _shown(what: Any) -> str:
    """What was given; Python writes no whole number of more than 4,300 digits."""
    return "a number of over 100 digits" if isinstance(what, int) and abs(what) > 10**100 else repr(what)


@dataclass(frozen=True)
class Over:
    """A ceiling that is reached; as text "tool calls 6 of 6"."""

    kind: str
    used: str
    ceiling: str

    def __str__(self) -> str:
        used, ceiling = figure(self.kind, int(self.used)), figure(self.kind, int(self.ceiling))
        return f"{named(self.kind)} {used} of {ceiling}"


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


NONE = Amount(0, 0, None)


@dataclass(frozen=True)
class Spend:
    """What a job has spent and reserved of each ceiling at one moment.

    Attributes:
        tools: the same for each tool or glob that has a ceiling of its own.
        undo: tool calls that undo what the job did, and their allowance; not part of `tool_calls`.
        undo_usd: what these calls cost; not part of `usd`.
    """

    steps: Amount
    tool_calls: Amount
    tokens: Amount
    input_tokens: Amount
    output_tokens: Amount
    usd: Amount
    answer_bytes: Amount
    tools: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    undo: Amount = NONE
    undo_usd: Amount = NONE

    @property
    def lines(self) -> dict[str, Amount]:
        """Every line by its kind in the ledger."""
        return {kind: getattr(self, kind) for kind in KINDS} | {TOOLS + glob: line for glob, line in self.tools.items()}

    def of(self, kind: str) -> Amount:
        """The line of a kind; an empty one if the job has none of it."""
        return self.lines.get(kind, Amount(0, 0, None))

    @classmethod
    def read(cls, row: Mapping[str, str]) -> Self:
        """From the ledger's fields `spent:<kind>`, `held:<kind>` and `max:<kind>` of the job record."""

        def line(kind: str) -> Amount:
            ceiling = int(row.get(f"max:{kind}", UNLIMITED))
            spent, held = int(row.get(f"spent:{kind}", 0)), int(row.get(f"held:{kind}", 0))
            return Amount(spent, held, None if ceiling == UNLIMITED else ceiling)

        tools = {glob: line(TOOLS + glob) for glob in globs_of(row.get("tools", ""))}
        return cls(*(line(kind) for kind in KINDS), tools=tools, undo=line(UNDO), undo_usd=line(UNDO_USD))
