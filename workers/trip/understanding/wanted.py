"""Which parts of a trip are wanted, where the text says that it is only some: "only flights and weather"."""

import re

PARTS = {
    "flight": "flights",
    "weather": "weather",
    "forecast": "weather",
    "hotel": "hotels",
    "restaurant": "restaurants",
}
_PART = rf"(?:the |some )?(?:{'|'.join(PARTS)})s?"
ONLY = re.compile(rf"\b(?:only|just)(?: want| need| look up)? ({_PART}(?:(?:,? and |, ?| or | & ){_PART})*)\b")


def understood(text: str) -> list[str]:
    """The parts, in the order they are mentioned; none: the whole trip."""
    found = ONLY.search(text)
    words = re.findall("|".join(PARTS), found[1]) if found else []
    return list(dict.fromkeys(PARTS[word] for word in words))


def read(text: str) -> list[tuple[int, int]]:
    """Where they are mentioned."""
    found = ONLY.search(text)
    return [found.span()] if found else []
