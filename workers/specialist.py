"""The decorator that makes a coroutine function a specialist."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel

from orchestrator.errors import InvalidRequest
from orchestrator.workflow import ACCEPTED, Profile, catalogue

Perform = Callable[..., Awaitable[Any]]


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


specialists: dict[str, Specialist] = {}


def specialist(
    name: str, *, tools: Sequence[str] = (), optional: bool = False, queue: str = "", timeout_s: float = 300.0
) -> Callable[[Perform], Perform]:
    """Make `async def f(step, request)` the specialist `name`.

    The annotations say what is validated: the second parameter's pydantic model is what the job's request must fit,
    the returned model what the output must fit; without annotations both are plain JSON.

    Args:
        name: as used in plans; `[a-z0-9_-]{1,64}`.
        tools: what it may call, as `<server>.<tool>`; globs are allowed.
        optional: its failure does not fail the job.
        queue: the queue its steps travel in; by default its own.
        timeout_s: the longest one attempt may take, seconds.

    Raises:
        InvalidRequest: the name is not valid, or the function is not `async def f(step, request)`.
    """

    def register(perform: Perform) -> Perform:
        parameters = list(inspect.signature(perform).parameters)
        if not inspect.iscoroutinefunction(perform) or len(parameters) != 2:  # noqa: PLR2004 - step and request
            raise InvalidRequest(f"specialist {name!r} must be `async def {perform.__name__}(step, request)`")
        hints = get_type_hints(perform)
        profile = Profile(
            name=name,
            request=_model(hints.get(parameters[1])),
            output=_model(hints.get("return")),
            tools=tuple(tools),
            queue=queue,
            optional=optional,
            timeout_s=timeout_s,
        )
        catalogue.profiles[name] = profile
        specialists[name] = Specialist(profile, perform)
        return perform

    return register


def _model(hint: Any) -> type[BaseModel] | None:
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None
