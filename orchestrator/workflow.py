"""Workflows and specialists' profiles, and the catalogue that knows them by name."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from pydantic import BaseModel, ValidationInfo

from orchestrator.budget import Budget
from orchestrator.errors import InvalidRequest
from orchestrator.plan import NAME, Plan

Diverged = Literal["stop", "recorded"]
OnFailure = Literal["keep", "undo"]
Approve = Literal["copied", "always"]
ACCEPTED: Mapping[str, Any] = {"surefoot": "accepted"}
"""The validation context of a request that was accepted when its job was submitted."""


def accepted(info: ValidationInfo) -> bool:
    """Whether a validator sees a request that was accepted before: rules that depend on the day must not look again.

    A job lives longer than the day on which it was submitted; workers only read its request.
    """
    return info.context is ACCEPTED


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
        diverged: what happens when an attempt asks for an effect that no earlier one asked for, before it has asked
            again for those on record: `stop` fails the step; `recorded` lets the answer on record of the same tool
            stand for it, and fails the step where there is none.
        needs: names of steps whose outputs it cannot do without; who writes plans is held to it.
        about: what it does, in a line; who decides about it reads this.
        approve: `<server>.<tool>` or glob -> which calls with an effect a person approves before they are sent:
            `always`, or those whose arguments are `copied` from what tools answered.
        least: what a step of it spends at least; a plan that is written for a job is held to it.
    """

    name: str
    request: type[BaseModel] | None = None
    output: type[BaseModel] | None = None
    tools: tuple[str, ...] = ()
    queue: str = ""
    optional: bool = False
    timeout_s: float = 300.0
    diverged: Diverged = "stop"
    needs: tuple[str, ...] = ()
    about: str = ""
    approve: Mapping[str, Approve] = field(default_factory=dict[str, Approve])
    least: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        """Fill in the queue; refuse names that no message could carry, and policies that do not exist."""
        if self.diverged not in get_args(Diverged):
            raise InvalidRequest(f"specialist {self.name!r}: diverged={self.diverged!r}; use 'stop' or 'recorded'")
        if wrong := [rule for rule in self.approve.values() if rule not in get_args(Approve)]:
            raise InvalidRequest(f"specialist {self.name!r}: approve={wrong[0]!r}; use 'copied' or 'always'")
        object.__setattr__(self, "queue", self.queue or self.name)
        for name in (self.name, self.queue):
            if not NAME.fullmatch(name):
                raise InvalidRequest(f"specialist or queue name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")


@runtime_checkable
class Planning(Protocol):
    """What makes plans in its own way, as the patterns of `orchestrator.patterns` do."""

    def bind(self, path: str, request: type[BaseModel]) -> Callable[[Any], Plan]:
        """Enter the catalogue under this path; answers what makes a request's first plan."""
        ...


@dataclass(frozen=True)
class Bound:
    """A pattern in the catalogue, and the type of the requests that it decides about."""

    pattern: Planning
    request: type[BaseModel]


class Workflow:
    """A named pattern: the request it takes and the plan it makes of one.

    Making a Workflow enters it into the catalogue, so a module that defines one only has to be imported.
    """

    def __init__(
        self,
        name: str,
        *,
        request: type[BaseModel],
        plan: Callable[[Any], Plan] | Planning,
        understand: Callable[[str], Mapping[str, Any]] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        on_failure: OnFailure = "keep",
    ) -> None:
        """Define a workflow.

        Args:
            name: as used in `submit(workflow=...)`.
            request: the pydantic model a request must fit; missing fields become questions.
            plan: makes the plan of a valid request: a function, or a pattern of `orchestrator.patterns`.
            understand: makes fields of the request from free text; without it a text request is refused.
                What it does not understand it leaves out, so that it is asked.
            budget: the ceilings of a job that brings none.
            on_failure: what becomes of what a job did when it fails: `keep` it, so that the job can be resumed, or
                `undo` it as its steps remembered with `on_rollback`. A cancelled job is always undone.

        Raises:
            InvalidRequest: the name, budget or `on_failure` is not valid, or another file has a workflow of this name.
        """
        if on_failure not in get_args(OnFailure):
            raise InvalidRequest(f"workflow {name!r}: on_failure={on_failure!r}; use 'keep' or 'undo'")
        if not NAME.fullmatch(name):
            raise InvalidRequest(f"workflow name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")
        self.name, self.request = name, request
        self.understand, self.budget, self.on_failure = understand, Budget.of(budget), on_failure
        self.defined_in = _caller()
        catalogue.enter(self)
        self.plan: Callable[[Any], Plan] = plan.bind(name, request) if isinstance(plan, Planning) else plan


class Catalogue:
    """The workflows and specialists of this process, by name."""

    def __init__(self) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.profiles: dict[str, Profile] = {}
        self.patterns: dict[str, Bound] = {}

    def enter(self, workflow: Workflow) -> None:
        """Take in a workflow; the same file may define it again, as when it is imported anew.

        Raises:
            InvalidRequest: another file defines a workflow of this name.
        """
        known = self.workflows.get(workflow.name)
        if known is not None and known.defined_in != workflow.defined_in:
            places = f"{known.defined_in} and {workflow.defined_in}"
            raise InvalidRequest(f"two workflows are named {workflow.name!r}, in {places}: rename one of them")
        self.workflows[workflow.name] = workflow

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
        except (KeyError, TypeError):
            known = ", ".join(sorted(self.workflows)) or "none; set SUREFOOT_WORKFLOWS"
            raise InvalidRequest(f"unknown workflow {name!r}; known: {known}") from None

    def profile(self, name: str) -> Profile:
        """The profile of this specialist, or InvalidRequest with the names there are."""
        try:
            return self.profiles[name]
        except KeyError:
            known = ", ".join(sorted(self.profiles)) or "none; set SUREFOOT_WORKFLOWS"
            raise InvalidRequest(f"unknown specialist {name!r}; known: {known}") from None

    def pattern(self, path: str) -> Bound:
        """The pattern of this path, `<workflow>` or `<workflow>/<part>`; a job may be older than the code."""
        try:
            return self.patterns[path]
        except KeyError:
            raise InvalidRequest(f"this worker knows no pattern {path!r}: check SUREFOOT_WORKFLOWS") from None

    def queues(self) -> list[str]:
        """The queues of all specialists, each once."""
        return sorted({profile.queue for profile in self.profiles.values()})


def _caller() -> str:
    """The file whose code makes a workflow; what is typed in is one file."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame else None
    name = frame.f_code.co_filename if frame else ""
    return name if name.endswith(".py") else "<input>"


catalogue = Catalogue()
