"""The faults: what each does to one call, as plain values that a ledger can store."""

import dataclasses
import json
import random
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Fault:
    """What happens to one call. `after_effect`: the tool has run before it happens."""

    after_effect: bool = False


@dataclass(frozen=True)
class Afterwards:
    """What can only happen to an answer: the tool has run."""

    after_effect: ClassVar[bool] = True


@dataclass(frozen=True)
class DropAnswer(Afterwards):
    """The tool runs; the connection ends in order, without an answer."""


@dataclass(frozen=True)
class Delay(Fault):
    """The call waits, then goes its way; with `after_effect` its answer waits."""

    seconds: float = 1.0


@dataclass(frozen=True)
class Duplicate(Afterwards):
    """The call reaches the tool twice, as when something on the way repeats it; the second answer is passed on."""


@dataclass(frozen=True)
class DuplicateAnswer(Afterwards):
    """One call, and its answer comes twice in one stream."""


@dataclass(frozen=True)
class TooManyRequests:
    """HTTP 429 with Retry-After; the tool does not run."""

    after_effect: ClassVar[bool] = False
    retry_after_s: int = 1


@dataclass(frozen=True)
class ServerError(Fault):
    """HTTP 5xx, with Retry-After where `retry_after_s` is given."""

    status: int = 500
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (TCP RST)."""


@dataclass(frozen=True)
class HalfOpen(Fault):
    """The connection stays open, and nothing more comes over it."""


@dataclass(frozen=True)
class Malformed(Afterwards):
    """The tool runs; its answer is cut off in mid-JSON."""


@dataclass(frozen=True)
class WrongSchema(Afterwards):
    """The tool runs; its answer does not fit its output schema. `mcp`: the result is not even one of MCP."""

    mcp: bool = False


@dataclass(frozen=True)
class Oversized(Afterwards):
    """The tool runs; its answer has so many megabytes."""

    megabytes: int = 50


@dataclass(frozen=True)
class Restart(Fault):
    """The server dies as by SIGKILL, with every call in flight, and starts again on the same port and ledger."""


@dataclass(frozen=True)
class Mix:
    """A fault drawn by lot for each call: each number is the probability of one, 0 to 1; together at most 1.

    The n-th call that meets the same mix draws the same, whoever makes it and whenever. What can happen before or
    after the effect does so half of the times.

    Attributes:
        seed: another seed is another sequence.
        delay_s: the longest delay.
    """

    seed: int = 0
    drop_answer: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0
    duplicate_answer: float = 0.0
    too_many_requests: float = 0.0
    server_error: float = 0.0
    reset: float = 0.0
    half_open: float = 0.0
    malformed: float = 0.0
    wrong_schema: float = 0.0
    oversized: float = 0.0
    restart: float = 0.0
    delay_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no set of probabilities.

        Raises:
            ValueError: says which.
        """
        shares = {name: getattr(self, name) for name in LOTS}
        if wrong := [name for name, share in shares.items() if not 0 <= share <= 1]:
            raise ValueError(f"Mix: {', '.join(wrong)} must be between 0 and 1")
        if sum(shares.values()) > 1:
            raise ValueError(f"Mix: the probabilities add up to {sum(shares.values()):g}, more than 1")

    def draw(self, number: int) -> "AnyFault | None":
        """The fault of the n-th call, or none."""
        dice = random.Random(f"{self.seed}:{number}")  # noqa: S311 - chaos that can be repeated, no secret
        left, after = dice.random(), dice.random() < 0.5  # noqa: PLR2004 - one half
        for name, kind in LOTS.items():
            left -= getattr(self, name)
            if left < 0:
                if kind is Delay:
                    return Delay(after, dice.uniform(0, self.delay_s))
                return kind(after) if issubclass(kind, Fault) else kind()
        return None


LOTS: dict[str, type[Any]] = {
    "drop_answer": DropAnswer,
    "delay": Delay,
    "duplicate": Duplicate,
    "duplicate_answer": DuplicateAnswer,
    "too_many_requests": TooManyRequests,
    "server_error": ServerError,
    "reset": Reset,
    "half_open": HalfOpen,
    "malformed": Malformed,
    "wrong_schema": WrongSchema,
    "oversized": Oversized,
    "restart": Restart,
}
"""What a mix draws from, by the name of its share."""
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (*LOTS.values(), Mix)}
AnyFault = Fault | Afterwards | TooManyRequests


def stored(fault: AnyFault | Mix) -> str:
    """A fault as JSON."""
    return json.dumps({"kind": type(fault).__name__, **dataclasses.asdict(fault)})


def restored(text: str) -> Any:
    """A fault from its JSON."""
    fields = json.loads(text)
    return KINDS[fields.pop("kind")](**fields)
