"""What a tool call and a model's tokens cost. Read from the JSON file of SUREFOOT_PRICES; money in whole micro-USD.

    {"tools": {"maps.*": 0.005}, "models": {"openai:gpt-*": {"input": 0.25, "output": 2.0}},
     "unknown": {"tools": "refuse", "models": "refuse"}}

Tools: US dollars a call. Models: US dollars a million tokens, which is micro-USD a token. The first glob
that fits counts.
"""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.budget import MICRO
from orchestrator.errors import SurefootError
from orchestrator.settings import InvalidSettings

log = structlog.get_logger(__name__)
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False, strict=True)]
Price = TypeVar("Price")
Unknown = TypeVar("Unknown")


class UnknownPrice(SurefootError):
    """Nobody said what this costs, and what has no price is refused."""


class ModelPrice(BaseModel):
    """US dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: Usd
    output: Usd


class _Unknown(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    tools: Usd | Literal["refuse"] | None = None
    models: ModelPrice | Literal["refuse"] = "refuse"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    tools: dict[str, Usd] = Field(default_factory=dict[str, float])
    models: dict[str, ModelPrice] = Field(default_factory=dict[str, ModelPrice])
    unknown: _Unknown = _Unknown()


class Prices:
    """The price table. What it does not name costs what its `unknown` says: by default tools 0, models are refused."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without one there are only the defaults for what is not named.

        Raises:
            InvalidSettings: it cannot be read, or says something else than prices; names the place.
        """
        self._table = _Table() if path is None else _read(path)
        self._told = set[str]()

    def call(self, tool: str) -> int | None:
        """What one call of this tool ("<server>.<tool>") costs, micro-USD; None: nobody said, and it counts as nothing.

        Raises:
            UnknownPrice: the table does not name it and refuses such tools.
        """
        price = _named(tool, self._table.tools, self._table.unknown.tools)
        if isinstance(price, str):
            raise UnknownPrice(f"no price is known for the tool {tool}: name it under `tools` in SUREFOOT_PRICES")
        if price is None and tool not in self._told:
            self._told.add(tool)
            log.info("a tool without a price counts as nothing", tool=tool, see="SUREFOOT_PRICES")
        return None if price is None else math.ceil(round(price * MICRO, 3))

    def tokens(self, model: str, *, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens of this model cost, micro-USD, rounded up.

        Raises:
            UnknownPrice: the table does not name the model and refuses such models.
        """
        price = _named(model, self._table.models, self._table.unknown.models)
        if isinstance(price, str):
            raise UnknownPrice(f"no price is known for the model {model}: name it under `models` in SUREFOOT_PRICES")
        # rounded first: the sum of two floats may be a hair above a whole number
        return math.ceil(round(input_tokens * price.input + output_tokens * price.output, 3))


def _named(name: str, prices: Mapping[str, Price], unknown: Unknown) -> Price | Unknown:
    return next((price for glob, price in prices.items() if fnmatchcase(name, glob)), unknown)


def _read(path: Path) -> _Table:
    try:
        return _Table.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidSettings(f"SUREFOOT_PRICES={path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidSettings(f"SUREFOOT_PRICES={path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
