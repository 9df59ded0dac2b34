"""The one door to language models: asks one of them, once, and says in this project's words what came of it.

pydantic-ai speaks the providers' protocols; it is imported when a model is named, and comes with the extra `llm`.
"""

import asyncio
import importlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

from orchestrator.models import ModelName
from orchestrator.settings import InvalidSettings, Settings
from tools.outcome import OutcomeUnknown, Rejected, Unavailable
from workers.prompt import ANSWER, Called, Prompt, Reply

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

TOO_LITTLE, NOT_ALLOWED = "install the extra: pip install 'surefoot[llm]'", "SUREFOOT_MODEL_CALLS=forbid"
NOT_ANSWERED = frozenset({425, 429, 500, 503, 529})
"""Asked too often, overloaded, or failed by the provider's own word: taken as not paid. A gateway that gave up waiting
(502, 504) does not know what happened behind it."""
CLIENT_ERRORS, SERVER_ERRORS = 400, 500
ABOUT_THE_ANSWER = "Give your answer with this tool, and only with it."


class Models:
    """The models of SUREFOOT_MODEL. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.names, self._settings = settings.models, settings
        self._made: dict[ModelName, Model] = {}

    @property
    def max_tokens(self) -> int:
        """Most tokens of an answer where the prompt does not say."""
        return self._settings.model_max_tokens

    def prepare(self) -> None:
        """Import what the models need, before the first is asked, and make them.

        Raises:
            InvalidSettings: SUREFOOT_MODEL names models that cannot be asked: no library, no key.
        """
        if self.names and importlib.util.find_spec("pydantic_ai") is None:
            raise InvalidSettings(f"SUREFOOT_MODEL={self._settings.model}: {TOO_LITTLE}")
        for name in self.names:
            try:
                self._model(name)
            except Exception as error:  # a provider's library: it may raise anything
                raise InvalidSettings(f"SUREFOOT_MODEL={name}: {error}") from error

    async def ask(self, name: ModelName, prompt: Prompt, timeout_s: float) -> Reply:
        """Ask a model once.

        Raises:
            Rejected: a definite no: forbidden here, no key, no such model, a prompt it does not take.
            Unavailable: certainly not answered: not reached, or it asks to come back later.
            OutcomeUnknown: sent, and no usable answer came; it may have been paid.
        """
        label = str(name)
        if self._settings.model_calls == "forbid" and not name.here:
            raise Rejected(label, f"{NOT_ALLOWED}: only models on this machine are asked")
        limit_s = min(timeout_s, self._settings.model_timeout_s)
        try:
            model = self._model(name)
            async with asyncio.timeout(limit_s):
                answer = await self._asked(model, prompt, limit_s)
        except TimeoutError as error:
            raise OutcomeUnknown(label, f"no answer within {limit_s:g} s") from error
        except Exception as error:  # a provider's library: it may raise anything
            raise _meaning(label, error) from error
        return _reply(label, answer)

    async def close(self) -> None:
        """Leave the providers."""
        made, self._made = self._made, {}
        for model in made.values():
            await model.__aexit__(None, None, None)

    async def _asked(self, model: "Model", prompt: Prompt, limit_s: float) -> "ModelResponse":
        from pydantic_ai.direct import model_request  # noqa: PLC0415 - imported late
        from pydantic_ai.settings import ModelSettings  # noqa: PLC0415

        # retries are Surefoot's own, so that each is counted
        settings = ModelSettings(max_tokens=prompt.max_tokens or self.max_tokens, timeout=limit_s, max_retries=0)
        wanted = _wanted(prompt)
        return await model_request(model, _messages(prompt), model_settings=settings, model_request_parameters=wanted)

    def _model(self, name: ModelName) -> "Model":
        if name not in self._made:
            self._made[name] = _made(name, self._settings.model_key.get_secret_value())
        return self._made[name]


def _made(name: ModelName, key: str) -> "Model":
    """The provider's own variables say its key and, where it has one, its address."""
    if name.provider in {"anthropic", "google"}:
        module = importlib.import_module(f"pydantic_ai.models.{name.provider}")
        kind = {"anthropic": "AnthropicModel", "google": "GoogleModel"}[name.provider]
        return getattr(module, kind)(name.model)
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 - imported late
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    if name.provider == "openai":
        return OpenAIChatModel(name.model, provider="openai")
    provider = OpenAIProvider(base_url=name.url, api_key=key or "none") if name.url else "ollama"
    older = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)  # all of them know max_tokens
    return OpenAIChatModel(name.model, provider=provider, profile=older)


def _wanted(prompt: Prompt) -> "ModelRequestParameters":
    from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415 - imported late
    from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415

    tools = [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.schema))
        for tool in prompt.tools
    ]
    if prompt.schema is None:
        return ModelRequestParameters(function_tools=tools)
    answer = ToolDefinition(
        name=ANSWER, description=ABOUT_THE_ANSWER, parameters_json_schema=dict(prompt.schema), kind="output"
    )
    return ModelRequestParameters(
        function_tools=tools, output_mode="tool", output_tools=[answer], allow_text_output=False
    )


def _messages(prompt: Prompt) -> "list[ModelMessage]":
    from pydantic_ai import messages as said  # noqa: PLC0415 - imported late

    history: list[ModelMessage] = []
    for message in prompt.messages:
        if message["role"] == "model":
            history += said.ModelMessagesTypeAdapter.validate_python(message["raw"])
            continue
        text = message["text"]
        if message["role"] == "system":
            part = said.SystemPromptPart(text)
        elif message["role"] == "tool":
            part = said.ToolReturnPart(message["name"], text, message["id"])
        else:
            part = said.UserPromptPart(text)
        if history and isinstance(history[-1], said.ModelRequest):
            history[-1] = said.ModelRequest([*history[-1].parts, part])
        else:
            history.append(said.ModelRequest([part]))
    return history


def _reply(label: str, answer: "ModelResponse") -> Reply:
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415 - imported late

    return Reply(
        text=answer.text or "",
        calls=[Called(call.tool_call_id, call.tool_name, _arguments(call.args)) for call in answer.tool_calls],
        model=label,
        finish=answer.finish_reason or "",
        raw=ModelMessagesTypeAdapter.dump_python([answer], mode="json"),
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
    )


def _arguments(said: Any) -> Any:
    if not isinstance(said, str):
        return said or {}
    try:
        return json.loads(said or "{}")
    except ValueError:
        return said


def _meaning(label: str, error: Exception) -> Rejected | Unavailable | OutcomeUnknown:
    """What an error of the library means, by the provider's status."""
    from pydantic_ai import exceptions as wrong  # noqa: PLC0415 - imported late

    said = f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, wrong.ModelHTTPError):
        wait_s, status = error.retry_after, error.status_code
        if status in NOT_ANSWERED:
            return Unavailable(label, said, wait_s)
        return Rejected(label, said) if CLIENT_ERRORS <= status < SERVER_ERRORS else OutcomeUnknown(label, said)
    if isinstance(error, wrong.ModelConnectionError) and error.phase in {"pool", "connect"}:
        return Unavailable(label, said)
    if isinstance(error, wrong.UserError | ImportError):
        return Rejected(label, said)
    return OutcomeUnknown(label, said)
