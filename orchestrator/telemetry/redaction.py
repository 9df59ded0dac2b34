"""Takes secrets out of what is shown: by the name of a field, by the shape of a value, and those that a process knows.

One policy for spans, logs, events and the command line. It errs on the side of hiding, its cost is bounded however
large the value is, and it never raises.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import quote, unquote

from orchestrator.telemetry.names import REDACTED_MARK

CUT_AT: Final = 2_000
"""Characters of a value that are kept."""

DEEPEST: Final = 20
SHORTEST, SHORTEST_CARD = 8, 13
"""Shorter texts hold no secret that its shape would show."""
MOST_SEARCHED: Final = 65_536
"""Characters of a longer text that are searched: its end where that is what counts, else none."""
LAYERS: Final = 3
"""Rounds of percent-encoding that are looked through."""
LONG_WORD = 200
"""Shorter texts are names more often than not, which come again."""

_WORDS: Final = frozenset(
    {"password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "authorization", "auth", "bearer", "jwt"}
    | {"credential", "cookie", "signature", "card", "cvv", "cvv2", "cvc", "iban", "ssn", "pin", "otp"}
)
_JOINED: Final = re.compile(
    r"password|passwd|passphrase|secret|credential|apikey|accesskey|privatekey|signingkey|sessionid|sessionkey"
    r"|cardnumber|creditcard|accesstoken|refreshtoken|authtoken|idtoken|securitycode"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# The slow patterns search a text only if it has what they need.
_LONG: Final = re.compile(r"[A-Za-z0-9_-]{10}")
_SHAPE_SIGNS: Final = re.compile(r"ey[JI]|[spr]k[-_]|-----BEGIN|gh[pousr]_|github_pat_|glpat-|xox|AKIA|ASIA|AIza")
_SHAPES: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bey[JI][A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"
    r"|\b[spr]k[-_][A-Za-z0-9_-]{8,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza)[A-Za-z0-9_-]{8,}",
    re.DOTALL,
)
_SCHEME: Final = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}|\b(basic\s+)[A-Za-z0-9+/=]{12,}")
_URL_USER: Final = re.compile(r"(://[^\s/:@\"']{0,256}:)[^\s/@\"']{1,512}(?=@)")
_NAME: Final = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{2,})\\{0,8}[\"']?\s{0,4}[:=]\s{0,4}")
_VALUE: Final = re.compile(
    r"\\{0,8}\"(?:[^\"\\]|\\.)*(?:\"|\Z)|'[^']*(?:'|\Z)|(?i:(?:Bearer|Basic|Token)\s+)?(?:\[redacted\]|[^\s\"'&,;)}\]]+)"
)
_OPTION: Final = re.compile(r"(--[A-Za-z][A-Za-z0-9_-]{1,60}\s{1,4})(?!-)\S+")
_PAIR: Final = re.compile(r"([(\[]\s?b?[\"']([A-Za-z0-9_.-]{2,60})[\"'],\s{0,4}b?[\"'])[^\"']+(?=[\"']\s?[)\]])")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+=*")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_CARD: Final = re.compile(r"(?<![\w.-])[3-6](?:[ -]?\d){12,18}(?![\w-])")
_NO_SECRET: Final = frozenset({"", "null", "None", "true", "false", REDACTED_MARK})
_NAMES: Final = ("name", "key", "header", "field")
_VALUES: Final = frozenset({"value", "answer"})
"""A mapping may say in its value under one of the former what the value under one of the latter is."""
_known: tuple[str, ...] = ()


def know(given: Mapping[str, str]) -> None:
    """Hide these values wherever they come up, in base64 and percent-encoded too: those whose name says secret.

    Short ones are left out, as they may be any word, and so are numbers and paths.
    """
    global _known  # noqa: PLW0603 - what a process was given, whoever shows something
    secrets = {value for name, value in given.items() if is_secret(name) and _is_worth_it(value)}
    forms = {form for secret in secrets for form in _forms(secret)}
    if not forms <= set(_known):
        _known = tuple(sorted(forms.union(_known), key=lambda form: (-len(form), form)))
        _redacted_word.cache_clear()
        _key.cache_clear()


def _is_worth_it(value: str) -> bool:
    return len(value) >= SHORTEST and not value.isdigit() and not _is_path(value)


def _is_path(value: str) -> bool:
    """Whether it is there, or reads like one: base64 begins with a slash at times, and has more of them."""
    if not value.startswith(("/", ".")):
        return False
    random = _BASE64.fullmatch(value) and all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return ("/" in value[1:] and not random) or os.path.exists(value)  # noqa: PTH110 - Path.exists raises at a name that is too long


def _forms(secret: str) -> Iterator[str]:
    """As it is, as URLs and JSON say it, and the part of its base64 that is the same wherever it begins."""
    yield from {secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1]}
    raw = secret.encode(errors="replace")
    for before in range(3):
        code = b64encode(bytes(before) + raw).decode().rstrip("=")
        inside = code[(0, 2, 3)[before] : len(code) if (before + len(raw)) % 3 == 0 else -1]
        if len(inside) >= SHORTEST:
            yield inside


@lru_cache(maxsize=4_096)
def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    parts = [part.lower() for part in re.split(r"[^A-Za-z0-9]+", _CAMEL.sub("_", name)) if part]
    return any(part in _WORDS or part.removesuffix("s") in _WORDS for part in parts) or bool(
        _JOINED.search("".join(parts))
    )


def redact_text(text: str) -> str:
    """The text without what looks like a secret, cut."""
    if len(text) < SHORTEST:
        return text
    return _redacted_word(text) if len(text) < LONG_WORD else _redacted_text(text)


def _redacted_text(text: str) -> str:
    head = _without_secrets(text[: 4 * CUT_AT])
    if len(head) > CUT_AT or len(text) > 4 * CUT_AT:
        return f"{head[:CUT_AT]}… (cut from {len(text):,} characters)"
    return head


_redacted_word = lru_cache(maxsize=4_096)(_redacted_text)


def redact_end(text: str) -> str:
    """The end of a text, a traceback say, without what looks like a secret: searched before it is cut."""
    return _without_secrets(text[-MOST_SEARCHED:])[-CUT_AT:]


def shows_secret(text: str) -> bool:
    """Whether there is in a text what would be taken out of it, or may be: a long one is not searched."""
    return len(text) > MOST_SEARCHED or _without_secrets(text) != text


def redact(value: Any, name: str = "") -> Any:
    """A copy of a JSON-like value without secrets, cut; `name` is the field it stands in."""
    return _copy(value, name, 0, [4 * CUT_AT])


def as_text(value: Any) -> str:
    """A value as redacted JSON, cut; a text stays as it is."""
    if isinstance(value, str):
        return redact_text(value)
    text = json.dumps(_copy(value, "", 0, [CUT_AT]), ensure_ascii=False)
    return text if len(text) <= CUT_AT else f"{text[:CUT_AT]}… (cut)"


def _without_secrets(text: str) -> str:
    """Decoded where it is percent-encoded and only that shows a secret, as often as it takes up to `LAYERS`."""
    layers = [text]
    while len(layers) <= LAYERS and _ESCAPE.search(layers[-1]) and (plain := unquote(layers[-1])) != layers[-1]:
        layers.append(plain)
    for layer in reversed(layers):
        if (shown := _searched(layer)) != layer:
            return shown
    return text


def _searched(text: str) -> str:
    for secret in _known:
        if secret in text:
            text = text.replace(secret, REDACTED_MARK)
    if _LONG.search(text) and _SHAPE_SIGNS.search(text):
        text = _SHAPES.sub(REDACTED_MARK, text)
    if ":" in text or "=" in text:
        text = _URL_USER.sub(r"\1" + REDACTED_MARK, text) if "://" in text else text
        text = _without_values(text)
    if "--" in text:
        text = _OPTION.sub(lambda m: m[1] + REDACTED_MARK if is_secret(m[1]) else m[0], text)
    if "', " in text or '",' in text:
        text = _PAIR.sub(lambda m: m[1] + REDACTED_MARK if is_secret(m[2]) else m[0], text)
    low = text.lower()
    if "bearer" in low or "basic" in low:
        text = _SCHEME.sub(lambda m: (m[1] or m[2]) + REDACTED_MARK, text)
    return _CARD.sub(_card, text) if len(text) >= SHORTEST_CARD else text


def _without_values(text: str) -> str:
    """Hide the values of secrets that a text names: `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`."""
    parts: list[str] = []
    at = 0
    for match in _NAME.finditer(text):
        name = match[1]
        if match.start() < at or not is_secret(name):
            continue
        value = _VALUE.match(text, match.end())
        if value is None or value[0].strip("\\\"'") in _NO_SECRET or ("token" in name.lower() and value[0].isdigit()):
            continue
        parts += (text[at : match.end()], REDACTED_MARK)
        at = value.end()
    return "".join(parts) + text[at:] if parts else text


def _copy(value: Any, name: str, depth: int, room: list[int]) -> Any:
    """`room` counts down the characters that may still be kept."""
    room[0] -= 4
    if type(value) is str:  # most are: the rest of the way is only for others
        text = REDACTED_MARK if name and is_secret(name) else redact_text(value)
        room[0] -= len(text)
        return text
    if name and _hides(name, value):
        return REDACTED_MARK
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(10**12) < value < 10**12 else _large(value)
    if isinstance(value, _MANY):
        return _copy_of_many(value, depth, room) if depth < DEEPEST else "…"
    text = redact_text(value if isinstance(value, str) else _shown(value))
    room[0] -= len(text)
    return text


_MANY: Final = (dict, list, tuple, set, frozenset, Mapping)  # a mapping of another type is found last, and slowly


def _copy_of_many(value: Any, depth: int, room: list[int]) -> Any:
    if isinstance(value, dict | Mapping):
        return _copy_of_mapping(cast("Mapping[Any, Any]", value), depth, room)
    copies: list[Any] = []
    name = ""
    pair = len(value) == 2  # noqa: PLR2004 - a header, as HTTP libraries keep them
    for inner in value:
        if room[0] < 0:
            copies.append("…")
            break
        copies.append(_copy(inner, name, depth + 1, room))
        name = inner if isinstance(inner, str) and ((pair and not copies[1:]) or inner.startswith("--")) else ""
    return copies


def _copy_of_mapping(value: Mapping[Any, Any], depth: int, room: list[int]) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    told = _secret_named(value) if not _VALUES.isdisjoint(value) else ""
    for key, inner in value.items():
        if room[0] < 0:
            copy["…"] = "…"
            break
        name = key if isinstance(key, str) else _shown(key)
        room[0] -= len(name)
        copy[_key(name)] = _copy(inner, told if told and name in _VALUES else name, depth + 1, room)
    return copy


def _secret_named(value: Mapping[Any, Any]) -> str:
    """The name of a secret that a mapping such as `{"name": "DB_PASSWORD", "value": ...}` says in a value."""
    names = (value.get(each) for each in _NAMES)
    return next((name for name in names if isinstance(name, str) and is_secret(name)), "")


@lru_cache(maxsize=4_096)
def _key(name: str) -> str:
    return redact_text(name)


def _hides(name: str, value: Any) -> bool:
    """Counts and flags such as `max_tokens: 500` or `authorized: true` are no secrets."""
    if value is None or isinstance(value, bool) or not is_secret(name):
        return False
    return not (isinstance(value, int | float) and "token" in name.lower())


def _large(value: int) -> Any:
    """A card's number may be a number; and Python refuses to print the very large."""
    if value.bit_length() > 256:  # noqa: PLR2004 - more than any id
        return f"… (a number of {value.bit_length():,} bits)"
    return value if redact_text(str(value)) == str(value) else REDACTED_MARK


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - anybody's __str__
        return f"<{type(value).__name__}, whose text is a {type(error).__name__}>"


def _card(match: re.Match[str]) -> str:
    """Only numbers with a valid check digit (Luhn's) are card numbers."""
    total = 0
    for i, digit in enumerate(reversed([int(c) for c in match[0] if c.isdigit()])):
        total += sum(divmod(digit * 2, 10)) if i % 2 else digit
    return REDACTED_MARK if total % 10 == 0 else match[0]
