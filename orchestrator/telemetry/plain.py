"""Text as a terminal may show it: what tools, models and users wrote must not steer it, nor turn its lines around."""

import re

_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, marks that change the direction of writing, halves of characters."""


def plain(text: str) -> str:
    """The text without what a terminal obeys; its lines stay lines."""
    return _STEERS.sub("", text)


def one_line(text: str) -> str:
    """The same on one line, so that no text can look like a line of ours."""
    return plain(" ⏎ ".join(line for line in text.splitlines() if line.strip()))


def short(text: str, most: int) -> str:
    """The same, cut to so many characters: for a cell of a table."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"
