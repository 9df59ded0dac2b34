"""The decorator that makes a coroutine function a specialist."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from orchestrator.budget import Budget
from orchestrator.errors import InvalidRequest
from orchestrator.patterns import KINDS
from orchestrator.workflow import ACCEPTED, Approve, Diverged, Profile, catalogue

Perform = Callable[..., Awaitable[Any]]
WILD = re.compile(r"[*?[\]]")
"""What makes a name a glob."""


@dataclass(frozen=True)
class Specialist:
    """A profile and the code behind it."""

    profile: Profile
    perform: Perform

    def parse(self, request: Any) -> Any:
        """The job's request as this specialist's type: it was accepted before, so only its shape is checked.

        Raises:
            pydantic.ValidationError: it has another shape, as after a change of the code.
        """
        model = self.profile.request
        return model.model_validate(request, context=ACCEPTED) if model else request

    @cached_property
    def output(self) -> TypeAdapter[Any] | None:
        """Checks what it returns; None: anything that is JSON."""
        return TypeAdapter(self.profile.output) if self.profile.output else None


specialists: dict[str, Specialist] = {}


def specialist(
    name: str,
    *,
    tools: Sequence[str] = (),
    optional: bool = False,
    queue: str = "",
    timeout_s: float = 300.0,
    diverged: Diverged = "stop",
    needs: Sequence[str] = (),
    approve: Mapping[str, Approve] = MappingProxyType({}),
    least: Budget | Mapping[str, Any] | None = None,
) -> Callable[[Perform], Perform]:
    """Make `async def f(step, request)` the specialist `name`.

    The annotations say what is validated: the second parameter's model is what the job's request must fit, the returned
    model what the output must fit; without annotations both are plain JSON.

    Args:
        name: as used in plans; `[a-z0-9_-]{1,64}`.
        tools: what it may call, as `<server>.<tool>`; globs are allowed.
        optional: its failure does not fail the job.
        queue: the queue its steps travel in; by default its own.
        timeout_s: the longest one attempt may take, seconds.
        diverged: it runs again and asks for another effect: `stop` fails it, `recorded` takes the answer on record.
        needs: names of steps whose outputs it cannot do without; `PlanExecuteSolve` holds its planner to it.
        approve: tool or glob -> which of its calls with an effect a person approves: `always`, or `copied` arguments.
        least: what a step of it spends at least, a `Budget`; `PlanExecuteSolve` refuses plans for which less is left.

    Raises:
        InvalidRequest: name, policy or function (`async def f(step, request)`) are not valid.
    """
    if name in KINDS:
        raise InvalidRequest(f"specialist {name!r}: the deciding steps of patterns have this name; choose another")

    if idle := [glob for glob in approve if not any(_meet(glob, tool) for tool in tools)]:
        told = f"approve={idle[0]!r} fits none of its tools, {', '.join(tools) or 'of which it has none'}"
        raise InvalidRequest(f"specialist {name!r}: {told}")
    ways = (tuple(tools), queue, optional, timeout_s, diverged, tuple(needs))
    given = Profile(name, None, None, *ways, approve=dict(approve), least=Budget.of(least))
    return lambda perform: _entered(given, perform)


def _entered(given: Profile, perform: Perform) -> Perform:
    """Enter a specialist into the catalogue, with what its function says of itself."""
    request, output = _models(given.name, perform)
    profile = replace(given, request=request, output=output, about=_about(perform))
    catalogue.profiles[given.name] = profile
    specialists[given.name] = Specialist(profile, perform)
    return perform


def _meet(one: str, other: str) -> bool:
    """Whether a name may fit both, of two globs as far as their ends tell: a rule for no tool at all is a mistake."""
    if not (WILD.search(one) and WILD.search(other)):
        return fnmatchcase(one, other) or fnmatchcase(other, one)
    (head, *_, tail), (begin, *_, end) = WILD.split(one), WILD.split(other)
    return (head.startswith(begin) or begin.startswith(head)) and (tail.endswith(end) or end.endswith(tail))


def _about(perform: Perform) -> str:
    return (inspect.getdoc(perform) or "").partition("\n")[0]


def _models(name: str, perform: Perform) -> tuple[type[BaseModel] | None, type[BaseModel] | None]:
    """What the function takes and returns, where these are models."""
    parameters = list(inspect.signature(perform).parameters)
    if not inspect.iscoroutinefunction(perform) or len(parameters) != 2:  # noqa: PLR2004 - step and request
        raise InvalidRequest(f"specialist {name!r} must be `async def {perform.__name__}(step, request)`")
    hints = get_type_hints(perform)
    return _model(hints.get(parameters[1])), _model(hints.get("return"))


def _model(hint: Any) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None
