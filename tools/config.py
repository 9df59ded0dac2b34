"""The tool servers: an `mcp.json` as Claude Desktop, Cursor and VS Code use it, plus a `surefoot` block a server."""

import json
import os
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from tools.effects import Effect
from tools.settings import MissingVariable, expand

Pin = Literal["agents", "all", "note"]
Approval = Literal["copied", "always"]
log = structlog.get_logger(__name__)
MICRO = 1_000_000
EXPANDED = frozenset({"command", "args", "env", "cwd", "url", "headers"})
"""Only values under these names are filled in from the environment."""
RULES = ("effects", "lookup", "price_usd", "digests", "approve")
"""The fields of a `surefoot` block that name tools."""
SECRET_WORDS = frozenset(
    {"password", "passwd", "pass", "pwd", "passphrase", "passcode", "secret", "token", "key", "auth", "authorization"}
    | {"credential", "cookie", "signature", "bearer", "jwt", "pat", "pin", "otp"}
)
SECRET_JOINED = re.compile(r"password|passwd|passphrase|secret|credential|apikey|accesskey|privatekey|authtoken")
NO_SECRET = frozenset(
    {"type", "method", "mode", "scheme", "algorithm", "url", "uri", "endpoint", "host", "port", "domain", "realm"}
    | {"region", "name", "user", "username", "file", "path", "dir", "ttl", "ms", "seconds", "size", "version"}
    | {"provider", "issuer", "audience", "scope", "enabled"}
)
"""A name that ends in one of these is of something about a secret: AUTH_TYPE, TOKEN_URL."""
SHORTEST_SECRET = 8
REDACTED = "[redacted]"
OUR_HEADERS = frozenset({"accept", "authorization", "connection", "content-length", "content-type", "host"})
"""Headers that carry the request itself: a deduplication key there would break it."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SCHEME = re.compile(r"(?i)^(?:bearer|basic|token)\s+")
_LOGIN = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")


Name = Annotated[str, StringConstraints(min_length=1)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class InvalidToolConfig(Exception):
    """The tool servers' configuration is wrong; the message names file, server and field."""


class KeyPlace(BaseModel):
    """Where a server wants the deduplication key, besides the `_meta` entry that is always sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    argument: Name | None = None
    header: HeaderName | None = None

    @field_validator("header")
    @classmethod
    def _not_one_of_the_requests_own(cls, header: str | None) -> str | None:
        if header and (header.lower() in OUR_HEADERS or header.lower().startswith("mcp-")):
            raise ValueError(f"{header} is a header of the request itself; take another, e.g. Idempotency-Key")
        return header


class Extras(BaseModel):
    """What other MCP clients do not know of a server."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    trust: bool = False
    timeout_s: float = Field(20.0, gt=0, le=86_400, allow_inf_nan=False)
    concurrency: int = Field(16, ge=1, le=10_000)
    effects: dict[Name, Effect] = Field(default_factory=dict[str, Effect])
    key: KeyPlace = KeyPlace()
    lookup: dict[Name, Name] = Field(default_factory=dict[str, str])
    price_usd: dict[Name, Usd] = Field(default_factory=dict[str, float])
    protocol: Literal["auto", "legacy", "2026-07-28"] = "auto"
    pin: Pin = "agents"
    digests: dict[Name, Digest] = Field(default_factory=dict[str, str])
    approve: dict[Name, Approval] = Field(default_factory=dict[str, Approval])

    def idle(self, tools: Collection[str]) -> list[str]:
        """What is said here of tools that there are not among these: a rule that is mistyped holds for nothing."""
        rules = [(name, glob) for name in RULES for glob in getattr(self, name)]
        rules += [("lookup", asked) for asked in self.lookup.values()]
        return [f"{name} {glob!r}" for name, glob in rules if not any(fnmatchcase(tool, glob) for tool in tools)]

    def price_micro_usd(self, tool: str) -> int | None:
        """The price of one call of this tool, in micro-USD; the first glob that fits counts. None: it is not said."""
        return next((round(usd * MICRO) for glob, usd in self.price_usd.items() if fnmatchcase(tool, glob)), None)


class ServerConfig(BaseModel):
    """One server: a command over stdio, a URL over streamable HTTP, or a Python module in this process.

    Values that may be secret are not shown in its repr.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)
    command: str | None = None
    args: list[str] = Field(default_factory=list[str], repr=False)
    env: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    url: str | None = Field(None, repr=False)
    headers: dict[HeaderName, str] = Field(default_factory=dict[str, str], repr=False)
    module: str | None = None
    type: str | None = None
    disabled: bool = False
    surefoot: Extras = Field(default_factory=lambda: Extras.model_validate({}))

    @cached_property
    def secrets(self) -> frozenset[str]:
        """What it was given to sign in with: what is named so, and is not short, a number or a path of this machine."""
        values = {_SCHEME.sub("", value.strip()) for name, value in self._given() if _is_secret(name)}
        return frozenset(value for value in values if len(value) >= SHORTEST_SECRET and not _is_plain(value))

    def _given(self) -> Iterator[tuple[str, str]]:
        """Its environment, headers, arguments and URL, by name."""
        yield from self.env.items()
        yield from self.headers.items()
        yield from parse_qsl(urlsplit(self.url or "").query)
        for word in self.args:
            yield from ((name, value) for name, _, value in (word.partition("="), word.partition(":")))
        for option, value in pairwise(self.args):
            if option.startswith("-") and "=" not in option and not value.startswith("--"):
                yield option, value
        for text in (self.url or "", *self.args, *self.env.values()):
            yield from (("password", unquote(password)) for password in _LOGIN.findall(text))

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """Each secret as it is, and as JSON and URLs say it; the longest first: one may be the beginning of another."""
        forms: set[str] = set()
        for secret in self.secrets:
            forms |= {secret, quote(secret, safe="", errors="replace"), _escaped(secret), json.dumps(secret)[1:-1]}
        return tuple(sorted(forms, key=lambda form: (-len(form), form)))

    @cached_property
    def _escaped_forms(self) -> tuple[bytes, ...]:
        return tuple(_escaped(form).encode(errors="replace") for form in self._forms)

    def repeated(self, said: bytes) -> bool:
        """Whether what this server says, as JSON, repeats any of its secrets."""
        return any(form in said for form in self._escaped_forms)

    def hide(self, said: Any) -> Any:
        """What this server says without its secrets, which are for nobody: they are taken out of texts and names."""
        if isinstance(said, str):
            for form in self._forms:
                said = said.replace(form, REDACTED)
            return said
        if isinstance(said, dict):
            return {self.hide(name): self.hide(value) for name, value in cast("dict[str, Any]", said).items()}
        return [self.hide(each) for each in cast("list[Any]", said)] if isinstance(said, list) else said

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [way for way in ("command", "url", "module") if getattr(self, way)]
        if len(ways) != 1:
            raise ValueError(f"needs exactly one of command, url and module, has {' and '.join(ways) or 'none'}")
        if self.url:
            _check_url(self.url)
        if self.type == "sse":
            raise ValueError(
                "type sse is the transport of 2024 and not supported; use the server's streamable HTTP url"
            )
        if self.surefoot.key.header and not self.url:
            raise ValueError("surefoot.key.header needs a url: other servers have no headers")
        return self


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", _CAMEL.sub("_", name)) if word]
    if not words or words[-1] in NO_SECRET:
        return False
    singular = {word.removesuffix("s") for word in words}
    return bool(SECRET_WORDS & {*words, *singular}) or bool(SECRET_JOINED.search("".join(words)))


def _is_plain(value: str) -> bool:
    return value.isdigit() or ("/" in value and os.path.exists(value))  # noqa: PTH110 - Path.exists raises at a name that is too long


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _check_url(url: str) -> None:
    """Say what is wrong with a URL, without repeating it: it may carry a token."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"url must begin with http:// or https://, not {parts.scheme[:20]!r}")
    try:
        known = parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(f"url: {error}") from error
    if not known:
        raise ValueError("url needs a host, and a port between 1 and 65535 if it names one")


class ToolConfig(BaseModel):
    """All servers by name."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)
    servers: dict[str, ServerConfig] = Field(default_factory=dict[str, ServerConfig], alias="mcpServers")


def load(path: Path) -> ToolConfig:
    """Read an mcp.json. A server that says `"disabled": true` is left out.

    Raises:
        InvalidToolConfig: it cannot be read, is no JSON, does not fit, or names a variable that is not set.
    """
    wrong: list[str] = []
    servers: dict[str, ServerConfig] = {}
    for name, entry in _entries(path).items():
        try:
            servers |= _server(name, entry)
        except ValidationError as error:
            wrong += [f"server {name!r}, {_where(one['loc'])}{_why(one['msg'])}" for one in error.errors()]
        except (MissingVariable, ValueError) as error:
            wrong.append(f"server {name!r}, {error}")
    if wrong:
        raise InvalidToolConfig(f"{path}: {'; '.join(wrong)}")
    return ToolConfig(mcpServers=servers)


def _entries(path: Path) -> dict[str, Any]:
    try:
        whole: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidToolConfig(f"{path}: {error.strerror}; check SUREFOOT_MCP_CONFIG") from error
    except (ValueError, RecursionError) as error:
        raise InvalidToolConfig(f"{path}: not JSON: {error}") from error
    entries = cast("dict[str, Any]", whole).get("mcpServers") if isinstance(whole, dict) else None
    if not isinstance(entries, dict):
        raise InvalidToolConfig(f'{path}: needs an object "mcpServers"')
    return cast("dict[str, Any]", entries)


def _server(name: str, entry: Any) -> dict[str, ServerConfig]:
    """The server by its name, or nothing if it is disabled."""
    if not name or "." in name:
        raise ValueError("its name must not be empty or have a dot: tools are called <server>.<tool>")
    if not isinstance(entry, dict):
        raise ValueError("it must be an object")  # noqa: TRY004 - wrong in the file, not in the program
    fields = cast("dict[str, Any]", entry)
    if fields.get("disabled") is True:
        return {}
    if unknown := sorted(set(fields) - set(ServerConfig.model_fields)):
        log.info("fields of mcp.json that are of other clients are ignored", server=name, fields=unknown)
    filled = {field: _filled(value, field) if field in EXPANDED else value for field, value in fields.items()}
    return {name: ServerConfig.model_validate(filled)}


def _filled(value: Any, field: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner, f"{field}.{name}") for name, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(inner, f"{field}.{number}") for number, inner in enumerate(cast("list[Any]", value))]
    if not isinstance(value, str):
        return value
    try:
        return expand(value)
    except MissingVariable as error:
        raise MissingVariable(f"{field}: the environment variable {error} is not set") from error


def _where(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""


def _why(message: str) -> str:
    return message.removeprefix("Value error, ")
