"""What a tool does to the world, and so whether a call may be repeated."""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Protocol


class Effect(StrEnum):
    """READ changes nothing; IDEMPOTENT changes the same once or twice; KEYED honours our key; UNSAFE is all else."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    KEYED = "keyed"
    UNSAFE = "unsafe"


class Annotations(Protocol):
    """The hints an MCP server gives about a tool."""

    @property
    def read_only_hint(self) -> bool | None:
        """It changes nothing."""
        ...

    @property
    def idempotent_hint(self) -> bool | None:
        """Twice is as good as once."""
        ...


def configured(tool: str, effects: Mapping[str, Effect]) -> Effect | None:
    """What the configuration's globs say of a tool; the first that fits counts."""
    return next((effect for glob, effect in effects.items() if fnmatchcase(tool, glob)), None)


def classify(tool: str, annotations: Annotations | None, *, trust: bool, effects: Mapping[str, Effect]) -> Effect:
    """The effect of a tool: what the configuration says, else the server's hints if they are trusted, else UNSAFE."""
    said = configured(tool, effects)
    if said is not None:
        return said
    if trust and annotations is not None:
        if annotations.read_only_hint:
            return Effect.READ
        if annotations.idempotent_hint:
            return Effect.IDEMPOTENT
    return Effect.UNSAFE
