"""What a specialist sees of its step. It never exposes a store or a client."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from pydantic import BaseModel

from orchestrator.plan import Step
from workers.asking import Patience
from workers.attempt import Attempt
from workers.generate import fits, generate, opening
from workers.prompt import Prompt

Output = TypeVar("Output", bound=BaseModel)


class StepContext:
    """One attempt of one step.

    Attributes:
        job_id: the job.
        name: the step's name in the plan.
        attempt: 1 for the first attempt.
        inputs: step name -> output of each step this one comes after; a failed optional step is missing.
        missing: the steps this one comes after that have no output: they failed and were optional, or were left out.
        arguments: what the plan gave this step, `Step(arguments=...)`.
        at_ceiling: what the job does at a ceiling of its budget: fail, ask or finish.
        finishing: why the job does no new work any more (a ceiling, with `at_ceiling="finish"`); empty: it goes on.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.job_id: str = attempt.job_id
        self.name: str = attempt.step
        self.attempt: int = attempt.claim.attempt
        self.inputs: Mapping[str, Any] = attempt.claim.inputs
        self.missing: tuple[str, ...] = attempt.claim.missing
        self.arguments: Mapping[str, Any] = attempt.claim.arguments
        self.at_ceiling: str = attempt.claim.at_ceiling
        self.finishing: str = attempt.claim.finishing

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        """Call an MCP tool once, whatever happens: `await step.call("flights.search", origin="JFK", ...)`.

        The call is journaled under the step's task id and the call's number, and sent with that deduplication key; when
        the step runs again, a finished call is replayed from the journal without touching tool or budget.

        Returns:
            The tool's structured answer as a dict, its text where it has none.

        Raises:
            Rejected: the tool, the schema or the allow-list said a definite no. Everything else that can go wrong
                ends this attempt and is not for specialists to catch.
        """
        return await self._attempt.call(tool, arguments)

    @overload
    async def generate(
        self,
        prompt: str,
        *,
        output: type[Output],
        system: str = "",
        max_tokens: int | None = None,
        repairs: int = 1,
    ) -> Output: ...

    @overload
    async def generate(
        self, prompt: str, *, output: None = None, system: str = "", max_tokens: int | None = None
    ) -> str: ...

    async def generate(
        self,
        prompt: str,
        *,
        output: type[BaseModel] | None = None,
        system: str = "",
        max_tokens: int | None = None,
        repairs: int = 1,
    ) -> Any:
        """Ask a language model: `await step.generate("Which city is meant?", output=City)`.

        The call is journaled and budgeted like a tool call: its tokens and money are reserved before it is sent, and a
        step that runs again gets the same answer without asking or paying.

        Args:
            prompt: what is asked.
            output: a pydantic model that the answer must fit; None: the answer is text.
            system: what the model is told before.
            max_tokens: most tokens of the answer (default: SUREFOOT_MODEL_MAX_TOKENS); so many are reserved.
            repairs: how often an answer that does not fit is shown to the model, and asked for again; each is a call.

        Returns:
            The text, or an instance of `output`.

        Raises:
            Rejected: there is no model, each of them refused, or no answer fitted. Everything else that can go wrong
                ends this attempt and is not for specialists to catch.
        """
        schema = output.model_json_schema() if output else None
        asked = Prompt(opening(prompt, system), schema, max_tokens=max_tokens)
        ask = partial(self._attempt.model, fits=partial(fits, output=output))
        return await generate(ask, asked, output, repairs)

    @overload
    async def agent(
        self,
        prompt: str,
        *,
        output: type[Output],
        tools: Sequence[str] = ("*",),
        system: str = "",
        rounds: int = 8,
        max_tokens: int | None = None,
    ) -> Output: ...

    @overload
    async def agent(
        self,
        prompt: str,
        *,
        output: None = None,
        tools: Sequence[str] = ("*",),
        system: str = "",
        rounds: int = 8,
        max_tokens: int | None = None,
    ) -> str: ...

    async def agent(
        self,
        prompt: str,
        *,
        output: type[BaseModel] | None = None,
        tools: Sequence[str] = ("*",),
        system: str = "",
        rounds: int = 8,
        max_tokens: int | None = None,
    ) -> Any:
        """Let a language model work with this specialist's tools until it answers.

        Each of its model calls and tool calls is journaled and budgeted like one of the specialist's own, and replayed
        when the step runs again. What a tool answers is shown to the model as data; it cannot add to the tools.

        Args:
            prompt: what is to be done.
            output: a pydantic model that the answer must fit; None: the answer is text.
            tools: which of the specialist's tools, as names or globs.
            system: what the model is told before.
            rounds: how often the model is asked at most.
            max_tokens: most tokens of each of its answers (default: SUREFOOT_MODEL_MAX_TOKENS).

        Returns:
            The text, or an instance of `output`.

        Raises:
            Rejected: no answer after so many rounds, or there is no model. Everything else that can go wrong ends this
                attempt and is not for specialists to catch.
        """
        agent = await self._attempt.agent(tools, output)
        return await agent.run(prompt, system, rounds, max_tokens)

    async def ask(
        self,
        what: str | type[BaseModel],
        *,
        prompt: str = "",
        example: Any = None,
        deadline_s: float | None = None,
        default: Any = None,
    ) -> Any:
        """What a person answers; parks the job until then. The step then runs again from the top and replays its calls.

        What is asked side by side, with `asyncio.gather`, is asked at once.

        Args:
            what: the name of one field (any JSON value is an answer), or a model: each of its fields that has no
                default is a question, and all are asked at once. The answer is then an instance of the model.
            prompt: the question as a person reads it; a model's fields bring their descriptions.
            example: an example of an answer.
            deadline_s: how long there is for an answer, seconds. What passes it without one takes the `default`, or
                the job is cancelled.
            default: the answer that counts then; of a model, an instance or a dict of its fields. None: there is none.
        """
        return await self._attempt.ask(what, prompt, example, Patience(deadline_s, default))

    async def approve(self, prompt: str, details: Any = None, *, deadline_s: float | None = None) -> bool:
        """Whether a person approves exactly these details. An approval is used once; other details are asked anew.

        Args:
            prompt: the question as a person reads it.
            details: what is approved, e.g. the arguments of the call that will be made.
            deadline_s: how long there is for an answer, seconds; then it counts as declined.
        """
        return await self._attempt.asking.approve(prompt, details, deadline_s)

    async def emit(self, message: str) -> None:
        """Tell those who watch the job; at most 2,000 characters are kept."""
        await self._attempt.emit(message)

    def grow(self, *steps: Step, before: str | Sequence[str] = ()) -> None:
        """Add steps to the plan when this step commits; each comes after this step.

        Args:
            steps: what to add.
            before: existing steps, not yet started, that shall wait for them too.
        """
        self._attempt.grow(steps, [before] if isinstance(before, str) else before)

    async def steps(self) -> tuple[str, ...]:
        """The names of all steps of the plan as it is now, in the order they were added."""
        return await self._attempt.steps()

    def on_rollback(self, tool: str, /, **arguments: Any) -> None:
        """Remember how to undo what this step did: `docs/undo.md`.

        It is called, newest first, when the job is cancelled, or fails and its workflow says `on_failure="undo"`. The
        tool must be one that this specialist may call. An effect for which nothing is said is listed as not undone.
        """
        self._attempt.on_rollback(tool, arguments)

    async def budget(self) -> Mapping[str, int | None]:
        """What is left of each ceiling, `usd` in micro-USD, whole `seconds`, `tools/<glob>`; None: no ceiling."""
        return await self._attempt.left()
