"""Tools that are Python functions of this process: the same journal, key and budget, no server.

    @tool(effect=Effect.KEYED)
    async def book(item: str, key: str) -> dict[str, str]: ...

An mcp.json entry {"module": "package.module"} makes a server of a module's tools. They share the event loop with every
other step: a function that is not `async` must be quick. They know no limit of concurrency.
"""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_type_hints

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticSerializationError, from_json, to_json

from tools.config import ServerConfig
from tools.effects import Effect, configured
from tools.outcome import OutcomeUnknown, Rejected, ToolFailure
from tools.tool import Signature, Tool, described
from tools.way import Way

log = structlog.get_logger(__name__)
Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__surefoot_effect__"
KEY = "key"
"""A parameter of this name gets the deduplication key; it is no part of the schema."""


def tool(*, effect: Effect = Effect.UNSAFE) -> Callable[[Function], Function]:
    """Make a function a tool of its module.

    Raises:
        TypeError: it has parameters that cannot be named in a call.
    """

    def mark(function: Function) -> Function:
        for name, parameter in inspect.signature(function).parameters.items():
            if name.startswith("_") or parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
                raise TypeError(f"{function.__qualname__}: parameter {name} cannot be given by name, as tools' are")
        setattr(function, MARK, effect)
        return function

    return mark


class LocalServer:
    """A module's tools."""

    def __init__(self, name: str, config: ServerConfig, answer_bytes: int) -> None:
        self.name, self._config, self._answer_bytes = name, config, answer_bytes
        self._tools: dict[str, Tool] | None = None

    async def tool(self, name: str) -> Tool:
        """The function of this name.

        Raises:
            Rejected: there is none, or the module cannot be imported.
        """
        tools = self._marked()
        if name not in tools:
            there = ", ".join(sorted(tools)[:20]) or "none"
            raise Rejected(f"{self.name}.{name}", f"{self._config.module} has no such tool; it has {there}")
        return tools[name]

    async def tools(self) -> list[Tool]:
        """The functions marked as tools.

        Raises:
            Rejected: the module cannot be imported.
        """
        return list(self._marked().values())

    async def close(self) -> None:
        """Nothing to close."""

    def _marked(self) -> Mapping[str, Tool]:
        if self._tools is None:
            found = {name: each for name, each in vars(self._module()).items() if hasattr(each, MARK)}
            self._tools = {name: self._tool(name, each) for name, each in found.items()}
        return self._tools

    def _module(self) -> Any:
        assert self._config.module is not None
        try:
            return importlib.import_module(self._config.module)
        except Exception as error:  # a module of the user's: it may raise anything
            log.exception("a module of tools cannot be imported", server=self.name, module=self._config.module)
            said = f"cannot import {self._config.module!r}: {type(error).__name__}: {error}"
            raise Rejected(self.name, said) from error

    def _tool(self, name: str, function: Callable[..., Any]) -> Tool:
        extras, call = self._config.surefoot, Call(function)
        listed = Signature(name, inspect.getdoc(function), call.schema)
        effect = configured(name, extras.effects) or cast("Effect", getattr(function, MARK))
        return described(self.name, listed, extras, effect, call, self._answer_bytes)


class Call:
    """Calls one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._keyed = KEY in inspect.signature(function).parameters
        self._waits = inspect.iscoroutinefunction(function)
        self._parameters = _parameters(function)
        self.schema = self._parameters.model_json_schema()

    async def call(self, tool: Tool, arguments: dict[str, Any], way: Way) -> Any:
        """Call it, with its arguments as the types it declares. What it raises is a definite no."""
        if way.said is not None:
            raise Rejected(tool.name, "a function of this process asks nothing, so it takes no answers")
        # a look-up is asked about another call's key
        asked_about = arguments.pop(KEY, way.key) if self._keyed else way.key
        given = self._given(tool.name, arguments)
        if self._keyed:
            given[KEY] = asked_about
        way.check(tool.name)
        try:
            answer = await self._within(tool.name, way.timeout_s, given) if self._waits else self._function(**given)
        except ToolFailure:
            raise
        except ValueError as error:
            raise Rejected(tool.name, f"{type(error).__name__}: {error}") from error
        except Exception as error:  # a function of the user's: it may raise anything
            log.exception("a tool of this process failed", tool=tool.name)
            raise Rejected(tool.name, f"{type(error).__name__}: {error}") from error
        return self._plain(tool, answer, way)

    def _given(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return vars(self._parameters.model_validate(arguments)).copy()
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
            raise Rejected(name, f"invalid arguments: {wrong}") from error

    async def _within(self, name: str, timeout_s: float, given: dict[str, Any]) -> Any:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await self._function(**given)
        except TimeoutError as error:
            if limit.expired():
                raise OutcomeUnknown(name, f"no answer within {timeout_s:g} s") from error
            raise

    def _plain(self, tool: Tool, answer: Any, way: Way) -> Any:
        """As JSON would bring it, and no more of it than is allowed."""
        try:
            carried = to_json(answer, inf_nan_mode="null")
        except PydanticSerializationError as error:
            raise tool.unusable(f"its answer is not JSON: {error}") from error
        if len(carried) > (way.most_bytes or tool.most_bytes):
            said = f"its answer has {len(carried):,} bytes, more than {tool.most_bytes:,}"
            raise tool.too_large(way, f"{said} (SUREFOOT_ANSWER_BYTES)")
        return from_json(carried)


def _parameters(function: Callable[..., Any]) -> type[BaseModel]:
    """The function's parameters as a model; unknown arguments are refused."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != KEY
    }
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(function.__name__, __config__=config, **fields)
