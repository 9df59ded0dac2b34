"""One tool of one server: what it says of itself, what its configuration adds, and how it is called."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, cast

from tools.config import Approval, Extras, Pin
from tools.effects import Effect
from tools.outcome import CutOff, OutcomeUnknown, Rejected, ToolFailure
from tools.schema import InvalidSchema, Schema
from tools.way import Said, Way

ANYTHING = Schema({})
ABOUT = "key"
"""The argument in which a look-up is asked about a key, unless it has only its server's `key.argument`."""


class Caller(Protocol):
    """What a tool is called through."""

    async def call(self, tool: "Tool", arguments: dict[str, Any], way: Way) -> Any:
        """Call it once."""
        ...


@dataclass(frozen=True)
class Tool:
    """One tool of one server, as it was when it was listed.

    Attributes:
        name: "<server>.<tool>".
        description: the server's words about it.
        input_schema: JSON Schema of its arguments, without the one that carries the deduplication key.
        output_schema: JSON Schema of its structured answer, if it says one.
        effect: whether a call may be repeated.
        digest: of its name, description, schemas and annotations; another digest is another tool.
        price_micro_usd: what a call costs, micro-USD; None where its server's configuration does not say.
        timeout_s: the longest a call may take.
        most_bytes: how large an answer may be, bytes of JSON.
        lookup: the tool that answers what became of a key.
        about: of a look-up, the argument that takes the key it is asked about.
        pin: for whom it must stay what a job saw first.
        known: the digest that an operator wrote down; empty: not this tool's; None: nobody wrote down any of its
            server's.
        approval: which of its calls a person approves, if it has an effect.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    effect: Effect
    digest: str
    price_micro_usd: int | None
    timeout_s: float
    most_bytes: int
    lookup: str | None
    caller: Caller = field(repr=False, compare=False)
    arguments: Schema | InvalidSchema = field(repr=False, compare=False)
    answers: Schema | InvalidSchema = field(repr=False, compare=False)
    key_argument: str | None = field(default=None, repr=False, compare=False)
    about: str = field(default=ABOUT, repr=False, compare=False)
    pin: Pin = "agents"
    known: str | None = None
    approval: Approval | None = None

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Validate arguments, before anything is spent.

        Raises:
            Rejected: names each wrong field.
        """
        for what, schema in (("input", self.arguments), ("output", self.answers)):
            if isinstance(schema, InvalidSchema):
                raise Rejected(self.name, f"its server gives it an {what} schema that cannot be used: {schema}")
        assert isinstance(self.arguments, Schema)
        if problems := self.arguments.problems(dict(arguments)):
            raise Rejected(self.name, f"invalid arguments: {problems}")

    def verify(self) -> None:
        """See that it is the tool of which an operator wrote down the digest, where one did.

        Raises:
            Rejected: it is another one.
        """
        if self.known == "":
            raise Rejected(self.name, 'mcp.json has "digests" of its server\'s tools, and none of this one')
        if self.known not in {None, self.digest}:
            there = f'mcp.json has {self.known} under "digests"'
            raise Rejected(self.name, f"its digest is {self.digest}, and {there}: read it again, then change that")

    async def call(
        self,
        arguments: Mapping[str, Any],
        *,
        key: str,
        timeout_s: float,
        said: Said | None = None,
        ours: Callable[[], bool] = lambda: True,
        most_bytes: int | None = None,
    ) -> Any:
        """Call it once. Returns the structured answer, else its text, else its content as a list.

        Args:
            arguments: as they were checked.
            key: the deduplication key; a continuation of a call that asked something has its own.
            timeout_s: what is left for it; its server's own limit holds too.
            said: goes on with a call that raised NeedsInput.
            ours: asked just before it is sent; where it says no, the call is unavailable.
            most_bytes: how large its answer may be, if that is less than any answer's.

        Raises:
            Rejected: a definite no.
            Unavailable: certainly not executed.
            OutcomeUnknown: sent, and nobody knows.
            CutOff: executed, with a larger answer than `most_bytes`.
            NeedsInput: it asks a person first.
        """
        if most_bytes is not None and most_bytes >= self.most_bytes:
            most_bytes = None
        way = Way(key, min(timeout_s, self.timeout_s), said, ours, most_bytes)
        return await self.caller.call(self, dict(arguments), way)

    def too_large(self, way: Way, why: str) -> ToolFailure:
        """The outcome of a call whose answer is larger than this call's may be, or else than any may be."""
        return self.unusable(why) if way.most_bytes is None else CutOff(self.name, way.most_bytes)

    def changed(self, first: str) -> Rejected:
        """What is said of a call that is refused since a job first saw another tool of this name."""
        what = f"its server describes it otherwise than when this job first saw it (digest {first}, now {self.digest})"
        does = f'refused by pin="{self.pin}" in mcp.json: read it, then put its digest under "digests", or submit anew'
        return Rejected(self.name, f"{what}; {does}")

    def unusable(self, why: str) -> ToolFailure:
        """The outcome of a call that was executed, and whose answer cannot be used.

        Of a tool that only reads it is a no: asking again would bring it again. What has an effect may have had it, and
        that is never called a no: a specialist would book elsewhere. Asked again with the same key, or looked up, it
        tells.
        """
        kind = Rejected if self.effect is Effect.READ else OutcomeUnknown
        return kind(self.name, f"it was executed, but {why}")


def described(server: str, listed: "Listed", extras: Extras, effect: Effect, caller: Caller, most_bytes: int) -> Tool:
    """A tool from what its server lists and its configuration adds."""
    key_argument, about = _places(listed, extras)
    shown = _without(listed.input_schema, key_argument) if key_argument else listed.input_schema
    lookup = extras.lookup.get(listed.name)
    return Tool(
        name=f"{server}.{listed.name}",
        description=listed.description or "",
        input_schema=shown,
        output_schema=listed.output_schema,
        effect=effect,
        digest=digest(listed),
        price_micro_usd=extras.price_micro_usd(listed.name),
        timeout_s=extras.timeout_s,
        most_bytes=most_bytes,
        lookup=f"{server}.{lookup}" if lookup else None,
        caller=caller,
        arguments=_compiled(shown),
        answers=_compiled(listed.output_schema) if listed.output_schema is not None else ANYTHING,
        key_argument=key_argument,
        about=about,
        pin=extras.pin,
        known=extras.digests.get(listed.name, "") if extras.digests else None,
        approval=stricter([rule for glob, rule in extras.approve.items() if fnmatchcase(listed.name, glob)]),
    )


def stricter(rules: Collection[Approval | None]) -> Approval | None:
    """The rule that counts where several fit."""
    return "always" if "always" in rules else "copied" if "copied" in rules else None


def digest(listed: "Listed") -> str:
    """Of all that a server says of a tool and somebody may rely on."""
    hints: Any = listed.annotations
    said = [listed.name, listed.description, listed.input_schema, listed.output_schema]
    said += [hints and hints.model_dump(mode="json", by_alias=True, exclude_none=True)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


class Listed(Protocol):
    """A tool as a server lists it: the SDK's, or a signature."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None

    @property
    def annotations(self) -> Any:
        """Its hints about what it does, a pydantic model; or None."""
        ...


@dataclass
class Signature:
    """A tool as a server would list it that is none."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    annotations: None = None


def _compiled(schema: Any) -> Schema | InvalidSchema:
    """The schema; or what is wrong with it, so that only this tool is refused, when it is called."""
    try:
        return Schema(schema)
    except InvalidSchema as error:
        return error


def _places(listed: "Listed", extras: Extras) -> tuple[str | None, str]:
    """The argument that takes a call's own key; and the one that takes the key a look-up is asked about.

    Never the same: a look-up that were asked about its own key would say that nothing happened.
    """
    declared: Any = listed.input_schema.get("properties")
    names = cast("dict[str, Any]", declared) if isinstance(declared, dict) else {}
    own = extras.key.argument if extras.key.argument in names else None
    about = own if own and ABOUT not in names else ABOUT
    if own == about and listed.name in extras.lookup.values():
        own = None
    return own, about


def _without(schema: Mapping[str, Any], argument: str) -> dict[str, Any]:
    """The schema without one argument."""
    properties = {name: part for name, part in cast("dict[str, Any]", schema["properties"]).items() if name != argument}
    required = [name for name in schema.get("required", ()) if name != argument]
    return {**schema, "properties": properties, "required": required}
