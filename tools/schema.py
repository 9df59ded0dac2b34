"""JSON Schemas that servers give us, compiled: what a value has wrong, said field by field.

A schema comes from outside. It may not read files or URLs, not be larger than a page, and not take exponential time.
"""

import json
from typing import Any, cast

import jsonschema_rs

MOST_BYTES = 262_144
MOST_PARTS = 100_000
"""So many subschemas, each counted as often as it is referred to, and checking still takes milliseconds."""
SHOWN, SHOWN_CHARACTERS = 5, 200


class InvalidSchema(Exception):
    """No JSON Schema that can be used; the message says why."""


class Schema:
    """One compiled schema."""

    def __init__(self, schema: Any) -> None:
        """Compile it.

        Raises:
            InvalidSchema: it is none, is too large or too tangled, or refers to something outside itself.
        """
        if not isinstance(schema, dict | bool):
            raise InvalidSchema(f"it must be an object, not {type(schema).__name__}")
        try:
            _check_size(schema)
            self._validator = jsonschema_rs.validator_for(schema, retriever=_nothing_from_outside)
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            raise InvalidSchema(str(error).splitlines()[0][:SHOWN_CHARACTERS]) from error

    def problems(self, value: Any) -> str:
        """What is wrong with a value, naming each field; empty if nothing is."""
        try:
            if self._validator.is_valid(value):
                return ""
            found = list(self._validator.iter_errors(value))
        except (ValueError, OverflowError) as error:  # a value that JSON cannot carry, or nested too deep
            return str(error)
        lines = [f"{_place(error.instance_path)}{_short(error.message)}" for error in found[:SHOWN]]
        return "; ".join(lines + ([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []))


def _check_size(schema: Any) -> None:
    size, parts = len(json.dumps(schema)), _Parts(schema).count()
    if size > MOST_BYTES:
        raise InvalidSchema(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
    if parts > MOST_PARTS:
        raise InvalidSchema(f"its references unfold to more than {MOST_PARTS:,} parts ({parts:.0e})")


def _short(message: str) -> str:
    """Both ends: a message begins with the value, however long, and ends with what is wrong with it."""
    half = SHOWN_CHARACTERS // 2
    return message if len(message) <= SHOWN_CHARACTERS else f"{message[:half]} ... {message[-half:]}"


def _place(path: list[str | int]) -> str:
    return f"{'.'.join(map(str, path))}: " if path else ""


def _nothing_from_outside(uri: str) -> Any:
    raise ValueError(f"a reference out of the schema is not followed: {uri[:SHOWN_CHARACTERS]}")


class _Parts:
    """Counts a schema's parts as a validator meets them: what is referred to twice counts twice.

    Thirty definitions, each naming the next one twice, are a kilobyte that takes minutes to check.
    """

    def __init__(self, root: Any) -> None:
        self._root, self._known = root, dict[str, float]()

    def count(self) -> float:
        """All parts of the root."""
        return self._of(self._root)

    def _of(self, part: Any) -> float:
        if isinstance(part, list):
            return sum(map(self._of, cast("list[Any]", part)))
        if not isinstance(part, dict):
            return 0
        fields = cast("dict[str, Any]", part)
        inner = sum(self._of(value) for name, value in fields.items() if name not in {"$defs", "definitions"})
        reference = fields.get("$ref")
        return 1 + inner + (self._behind(reference) if isinstance(reference, str) else 0)

    def _behind(self, reference: str) -> float:
        if reference not in self._known:
            self._known[reference] = 1  # a schema within itself ends with the value it describes
            self._known[reference] = self._of(self._at(reference))
        return self._known[reference]

    def _at(self, reference: str) -> Any:
        part = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not step:
                continue
            part = cast("dict[str, Any]", part).get(name) if isinstance(part, dict) else None
        return part
