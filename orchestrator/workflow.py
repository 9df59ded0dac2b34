"""Workflows and specialists' profiles, and the catalogue that knows them by name."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from orchestrator.budget import Budget
from orchestrator.errors import InvalidRequest
from orchestrator.plan import NAME, Plan


@dataclass(frozen=True)
class Profile:
    """What the orchestrator knows of a specialist without importing its code's dependencies.

    Attributes:
        name: as used in plans.
        request: the type of the job's request that it declares, or None for plain JSON.
        output: the type of what it returns, or None for plain JSON.
        tools: `<server>.<tool>` names or globs that it may call.
        queue: the queue its steps travel in; its own name unless configured otherwise.
        optional: its failure does not fail the job.
        timeout_s: the longest one attempt may take.
    """

    name: str
    request: type[BaseModel] | None = None
    output: type[BaseModel] | None = None
    tools: tuple[str, ...] = ()
    queue: str = ""
    optional: bool = False
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        """Fill in the queue and refuse names that no message could carry."""
        object.__setattr__(self, "queue", self.queue or self.name)
        for name in (self.name, self.queue):
            if not NAME.fullmatch(name):
                raise InvalidRequest(f"specialist or queue name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")


class Workflow:
    """A named pattern: the request it takes and the plan it makes of one.

    Making a Workflow enters it into the catalogue, so a module that defines one only has to be imported.
    """

    def __init__(
        self,
        name: str,
        *,
        request: type[BaseModel],
        plan: Callable[[Any], Plan],
        understand: Callable[[str], Mapping[str, Any]] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Define a workflow.

        Args:
            name: as used in `submit(workflow=...)`.
            request: the pydantic model a request must fit; missing fields become questions.
            plan: makes the plan of a valid request: a function, or a pattern of `orchestrator.patterns`.
            understand: makes fields of the request from free text; without it a text request is refused.
                What it does not understand it leaves out, so that it is asked.
            budget: the ceilings of a job that brings none.
        """
        if not NAME.fullmatch(name):
            raise InvalidRequest(f"workflow name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")
        self.name, self.request, self.plan = name, request, plan
        self.understand, self.budget = understand, budget or Budget()
        catalogue.workflows[name] = self


class Catalogue:
    """The workflows and specialists of this process, by name."""

    def __init__(self) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.profiles: dict[str, Profile] = {}

    def load(self, modules: Iterable[str]) -> None:
        """Import the modules that define workflows and specialists.

        Raises:
            InvalidRequest: a module does not exist or fails to import.
        """
        for module in modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise InvalidRequest(
                    f"SUREFOOT_WORKFLOWS names {module!r}, which cannot be imported: {error}"
                ) from error

    def workflow(self, name: str) -> Workflow:
        """The workflow of this name, or InvalidRequest with the names there are."""
        try:
            return self.workflows[name]
        except KeyError:
            known = ", ".join(sorted(self.workflows)) or "none; set SUREFOOT_WORKFLOWS"
            raise InvalidRequest(f"unknown workflow {name!r}; known: {known}") from None

    def profile(self, name: str) -> Profile:
        """The profile of this specialist, or InvalidRequest with the names there are."""
        try:
            return self.profiles[name]
        except KeyError:
            known = ", ".join(sorted(self.profiles)) or "none; set SUREFOOT_WORKFLOWS"
            raise InvalidRequest(f"unknown specialist {name!r}; known: {known}") from None

    def queues(self) -> list[str]:
        """The queues of all specialists, each once."""
        return sorted({profile.queue for profile in self.profiles.values()})


catalogue = Catalogue()
