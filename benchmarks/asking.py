"""Asks the model of SUREFOOT_MODEL outside of a job: for measuring it, through the same door as a step."""

from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.settings import Settings
from workers.generate import generate, opening
from workers.models import Models
from workers.prompt import Prompt, Reply

Output = TypeVar("Output", bound=BaseModel)


class Asking:
    """What a decider asks with, and what it took."""

    def __init__(self, settings: Settings, max_tokens: int = 200) -> None:
        self._models, self._max_tokens = Models(settings), max_tokens
        self.calls = self.input_tokens = self.output_tokens = 0

    async def generate(self, prompt: str, *, output: type[Output], system: str = "") -> Output:
        """Ask the first model; what does not fit is given back once.

        Raises:
            ToolFailure: it does not answer, or its answers do not fit.
        """
        schema: dict[str, Any] = output.model_json_schema()
        return await generate(self._ask, Prompt(opening(prompt, system), schema, (), self._max_tokens), output, 1)

    async def _ask(self, prompt: Prompt) -> Reply:
        reply = await self._models.ask(self._models.names[0], prompt, 300.0)
        assert reply.input_tokens <= prompt.most_input_tokens, "what is reserved is an upper bound"
        self.calls += 1
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        return reply

    async def close(self) -> None:
        """Leave the model."""
        await self._models.close()
