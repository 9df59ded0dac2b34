"""What one attempt of a step asks people: all that it lacks at once, and each answer once and for good."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from orchestrator.errors import InvalidRequest
from orchestrator.state.calls import CallStore
from orchestrator.state.records import Question, encode, in_order
from orchestrator.state.steps import Lease
from workers.replay import fingerprint

LONGEST_S = 10 * 366 * 86_400.0


@dataclass(frozen=True)
class Patience:
    """How long there is for an answer, seconds, and what counts as one then; None: any time, and nothing.

    Raises:
        InvalidRequest: the time is no time, or there is a default and no deadline after which it counts.
    """

    deadline_s: float | None = None
    default: Any = None

    def __post_init__(self) -> None:
        if self.deadline_s is None and self.default is not None:
            raise InvalidRequest("a default counts when a deadline has passed: say deadline_s too")
        if self.deadline_s is not None and not 0 < self.deadline_s <= LONGEST_S:  # NaN is not either
            raise InvalidRequest(f"deadline_s must be more than 0 and at most {LONGEST_S:.0f}, not {self.deadline_s!r}")

    def put(self, question: Question, default: Any) -> Question:
        """The question with this deadline and default."""
        otherwise = "" if default is None else encode(default)
        return replace(question, deadline_s=self.deadline_s, otherwise=otherwise)


class Asking:
    """Asks for one attempt."""

    def __init__(self, store: CallStore, lease: Lease, lack: Callable[[Sequence[Question]], Awaitable[Any]]) -> None:
        """`lack` ends the attempt, which cannot go on without answers to these questions."""
        self._store, self._lease, self._lack, self.step = store, lease, lack, lease.step
        self._busy = dict[asyncio.Future[None], asyncio.Task[Any] | None]()
        self._looking = set[asyncio.Future[None]]()
        self._lacking: list[Question] = []
        self._approvals = Counter[str]()

    def beside(self) -> "Beside":
        """What the step does meanwhile: who lacks an answer waits for it, so that all is asked at once."""
        return Beside(self)

    def begin(self) -> asyncio.Future[None]:
        """Something is under way, until it is `over`."""
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._busy[under_way] = asyncio.current_task()
        return under_way

    async def answers(self, questions: Sequence[Question]) -> dict[str, Any]:
        """Answers by question id; where one is open the step is parked, with all that is asked side by side."""
        with self.beside() as looking:
            self._looking.add(looking)
            known = await self._store.answers(self._lease, [question.id for question in questions])
        lacking = [question for question in questions if question.id not in known]
        if not lacking:
            return known
        self._lacking += lacking
        self.stand_aside()
        waits_for = set(self._busy)  # not for what they do next: who goes from call to call would never be over
        while waits_for := waits_for & self._busy.keys() | self._looking:  # but for what they ask next
            await asyncio.wait(waits_for)
        return await self._lack(self._lacking)

    def stand_aside(self) -> None:
        """Who asks is not waited for, whatever it was doing."""
        asks = asyncio.current_task()
        for over in [over for over, task in self._busy.items() if task is asks]:
            self.over(over)

    def over(self, over: asyncio.Future[None]) -> None:
        """It is over; saying so again is harmless."""
        if over in self._busy:
            del self._busy[over]
            self._looking.discard(over)
            over.set_result(None)

    async def ask(self, what: str | type[BaseModel], prompt: str, example: Any, patience: Patience) -> Any:
        """Ask for a field, or for the fields of a model; what was answered before is the answer."""
        if not isinstance(what, str):
            return await self._model(what, patience)
        question = Question(f"{self._lease.step}/{what}", what, prompt or what, "input", self._lease.step)
        question = patience.put(replace(question, example=example), patience.default)
        return (await self._answers([question]))[what]

    async def approve(self, prompt: str, details: Any, deadline_s: float | None) -> bool:
        """Ask for a yes to exactly these details; the second time they come up in an attempt is another question."""
        details = to_jsonable_python(details)
        name = f"approve-{fingerprint(prompt, {'details': in_order(details)})}"
        self._approvals[name] += 1
        if self._approvals[name] > 1:
            name = f"{name}-{self._approvals[name]}"
        step, schema = self._lease.step, {"type": "boolean"}
        question = Question(f"{step}/{name}", name, prompt, "approval", step, schema=schema, details=details)
        asked = Patience(deadline_s).put(question, None if deadline_s is None else False)
        return bool((await self._answers([asked]))[name])

    async def one(self, question: Question) -> Any:
        """The answer to a question that somebody else has made."""
        return (await self._answers([question]))[question.field]

    async def _model(self, model: type[BaseModel], patience: Patience) -> BaseModel:
        """A question for each field without a default; those that together break a rule are asked again."""
        given: dict[str, Any] = {}
        wanted = {name: "" for name, info in model.model_fields.items() if info.is_required()}
        for times in range(1, 100):
            prefix = self._lease.step if times == 1 else f"{self._lease.step}/{times}"
            asked = [self._field(prefix, model, name, problem, patience) for name, problem in wanted.items()]
            given |= await self._answers(asked) if asked else {}
            try:
                return model.model_validate(given)
            except ValidationError as error:
                wanted = _wrong(model, error, given)
        raise InvalidRequest(f"{model.__name__}: no answer fits, after so many")

    def _field(self, prefix: str, model: type[BaseModel], name: str, problem: str, patience: Patience) -> Question:
        info, schema = model.model_fields[name], model.model_json_schema()
        told = info.description or info.title or name.replace("_", " ")
        question = Question(
            f"{prefix}/{name}",
            name,
            f"{problem}: {told}" if problem else told,
            step=self._lease.step,
            schema={**schema["properties"].get(info.alias or name, {}), "$defs": schema.get("$defs", {})},
            example=_example(info),
        )
        return patience.put(question, None if problem else _default(model, name, patience.default))

    async def _answers(self, questions: Sequence[Question]) -> dict[str, Any]:
        """Answers by field."""
        known = await self.answers(questions)
        return {question.field: known[question.id] for question in questions}


class Beside:
    """Something under way, while the block lasts. Each call has one: a class costs a fifth of a generator."""

    __slots__ = ("_asking", "_under_way")

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def __enter__(self) -> asyncio.Future[None]:
        self._under_way = self._asking.begin()
        return self._under_way

    def __exit__(self, *_: object) -> None:
        self._asking.over(self._under_way)


def _example(info: FieldInfo) -> Any:
    return to_jsonable_python(info.examples[0]) if info.examples else None


def _default(model: type[BaseModel], name: str, default: Any) -> Any:
    """What counts for this field when nobody has answered."""
    if default is None:
        return None
    fields: Mapping[str, Any] = to_jsonable_python(model.model_validate(default))
    return fields[name]


def _wrong(model: type[BaseModel], error: ValidationError, given: Mapping[str, Any]) -> dict[str, str]:
    """The fields to ask again, each with what is wrong: those an error is about or a broken rule names, or all."""
    wrong: dict[str, str] = {}
    for each in error.errors():
        context: Mapping[str, Any] = each.get("ctx", {})
        named = each["loc"][:1] or (context.get("field"),)
        fields = [str(name) for name in named if name in model.model_fields] or list(given)
        wrong |= dict.fromkeys(fields, each["msg"])
    return wrong
