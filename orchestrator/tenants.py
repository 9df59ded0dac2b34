"""What each tenant may spend: ceilings of one job, and sums a day. Read from the JSON file of SUREFOOT_TENANTS.

    {"acme": {"job": {"tool_calls": 50, "usd": 1.0}, "day": {"usd": 20.0}}, "*": {"day": {"tokens": 1000000}}}

`*` is every tenant that has no entry of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, TypeAdapter, ValidationError

from orchestrator.budget import MICRO, UNLIMITED, Budget, named
from orchestrator.errors import InvalidRequest
from orchestrator.settings import InvalidSettings

PER_DAY = ("tokens", "usd")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    job: dict[str, Any] = {}
    day: dict[str, StrictInt | StrictFloat] = {}


_FILE = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True)
class Tenant:
    """One tenant's ceilings.

    Attributes:
        job: of each of its jobs; a job may ask for less, not for more.
        day: of all its jobs together on one day (UTC), in the ledger's units.
    """

    job: Budget = field(default_factory=Budget)
    day: Mapping[str, int] = field(default_factory=dict[str, int])

    def allow(self, asked: Budget, usual: Budget) -> Budget:
        """A job's budget: what it asks, else what its workflow says, never more than the tenant may.

        Raises:
            InvalidRequest: the job asks for more than the tenant may.
        """
        self.check(asked)
        names = [each.name for each in fields(Budget) if each.name != "tools"]
        own = {name: getattr(asked, name) for name in names}
        merged = Budget.of(
            {name: getattr(usual, name) if value is None else value for name, value in own.items()}
            | {"tools": {**usual.tools, **asked.tools}}
        )
        lowered = {name: _lower(getattr(merged, name), getattr(self.job, name)) for name in names}
        globs = {**merged.tools, **self.job.tools}
        tools = {glob: _lower(merged.tools.get(glob), self.job.tools.get(glob)) for glob in globs}
        return replace(merged, **lowered, tools=tools)

    def check(self, asked: Budget) -> None:
        """Refuse a budget that is above the tenant's own.

        Raises:
            InvalidRequest: a ceiling is, or the time.
        """
        self.check_ceilings(asked.ceilings())
        if self.job.seconds is not None and asked.seconds is not None and asked.seconds > self.job.seconds:
            raise InvalidRequest(f"budget seconds: this tenant's jobs may have at most {self.job.seconds:g}")

    def check_ceilings(self, ceilings: Mapping[str, int]) -> None:
        """The same for ceilings in the ledger's units.

        Raises:
            InvalidRequest: one is above the tenant's own.
        """
        tops = self.job.ceilings()
        for kind, amount in ceilings.items():
            top = tops.get(kind, UNLIMITED)
            if 0 <= top < amount:
                most = top / MICRO if kind == "usd" else top
                raise InvalidRequest(f"budget {named(kind)}: this tenant's jobs may have at most {most:g}")


def _lower(one: Any, other: Any) -> Any:
    if isinstance(one, str) or isinstance(other, str):  # at_ceiling: what the job or its workflow says counts
        return one or other
    return other if one is None else one if other is None else min(one, other)


class Tenants:
    """All tenants of the file."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without one every tenant may everything.

        Raises:
            InvalidSettings: it cannot be read, or says something else than ceilings; names the place.
        """
        self._tenants = {} if path is None else _read(path)

    def of(self, name: str) -> Tenant:
        """A tenant by its name."""
        return self._tenants.get(name) or self._tenants.get("*") or Tenant()


def _read(path: Path) -> dict[str, Tenant]:
    try:
        entries = _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidSettings(f"SUREFOOT_TENANTS={path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidSettings(f"SUREFOOT_TENANTS={path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return {name: _tenant(path, name, entry) for name, entry in entries.items()}


def _tenant(path: Path, name: str, entry: _Entry) -> Tenant:
    if unknown := sorted(set(entry.day) - set(PER_DAY)):
        listed = f"a day has no {', '.join(unknown)}; it has {', '.join(PER_DAY)}"
        raise InvalidSettings(f"SUREFOOT_TENANTS={path}: {name}: {listed}")
    try:
        day = Budget.of(entry.day).ceilings()
        return Tenant(Budget.of(entry.job), {kind: day[kind] for kind in entry.day})
    except InvalidRequest as error:
        raise InvalidSettings(f"SUREFOOT_TENANTS={path}: {name}: {error}") from error
