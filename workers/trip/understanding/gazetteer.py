"""Names of places -> the code of an airport or of a city with several. What is open stays open."""

import functools
import unicodedata
from dataclasses import dataclass

from tools.travel import facts
from tools.travel.facts import Airport
from workers.trip.understanding.names import COUNTRY_NAMES, KNOWN, OPEN, STATES

LONGEST_NAME = 4
CODE_LENGTH = 3
LONGEST_ANSWER = 100
MOST_CHOICES = 6


@dataclass(frozen=True)
class Named:
    """What a name means: a code, or several places without a clear largest."""

    code: str | None
    choices: tuple[str, ...] = ()


def plain(name: str) -> str:
    """A name without capitals, accents, a leading "the" and doubled spaces: "The Big Apple", "Zürich"."""
    letters = unicodedata.normalize("NFKD", name.casefold().replace("ß", "ss"))
    joined = "".join(each for each in letters if not unicodedata.combining(each))
    words = joined.replace("’", "'").replace(".", "").replace("-", " ").split()
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)


def is_code(code: str) -> bool:
    """Whether this is the code of an airport or a metropolitan one."""
    return code in facts.METROPOLITAN or code in facts.airports()


def airports_of(code: str) -> tuple[str, ...]:
    """The airports of a metropolitan code; of any other, itself."""
    return facts.METROPOLITAN.get(code, (code,))


def airport(code: str) -> Airport:
    """The airport of a code; of a metropolitan code the first."""
    return facts.airports()[airports_of(code)[0]]


@functools.cache
def cities() -> dict[str, tuple[str, ...]]:
    """Plain city name -> codes of its airports."""
    found: dict[str, list[str]] = {}
    for code, one in facts.airports().items():
        if one.city:
            found.setdefault(plain(one.city), []).append(code)
    return {city: tuple(codes) for city, codes in found.items()}


def lookup(name: str, region: str = "") -> Named | None:
    """What a plain name means, in a state or country if one is said; None: no place is called so.

    Without a region a known name counts first, then the one city of that name; of the airports of one city the
    international one. What that leaves open, as cities in several states or countries, has its choices.
    """
    if not region and name not in OPEN and name in KNOWN:
        return Named(KNOWN[name])
    codes = cities().get(name)
    if codes is None:
        return None
    if region:
        codes = tuple(code for code in codes if in_region(code, region))
        if name in KNOWN and in_region(KNOWN[name], region):
            return Named(KNOWN[name])
    if name in OPEN and not region:
        return Named(None, codes)
    one_city = len({(airport(code).country, airport(code).subdivision) for code in codes}) == 1
    largest = tuple(code for code in codes if _is_international(code)) if one_city and len(codes) > 1 else codes
    return Named(largest[0]) if len(largest) == 1 else Named(None, largest or codes) if codes else None


def resolve(text: str) -> str:
    """The code that a person means who names one place: "DEN", "Denver", "Portland, Maine".

    Raises:
        ValueError: no such place, or several; the message says which.
    """
    said = text.strip()[:LONGEST_ANSWER]
    if len(said) == CODE_LENGTH and is_code(said.upper()):
        return said.upper()
    name, _, region = (part.strip() for part in said.partition(","))
    named = lookup(plain(name), plain(region)) if name else None
    if named is None:
        raise ValueError(f"no airport or city is known as {said!r}: give an airport code, as DEN")
    if named.code is None:
        listed = ", ".join(f"{code} ({_told(airport(code))})" for code in named.choices[:MOST_CHOICES])
        raise ValueError(f"{said!r} may be {listed}: give one code")
    return named.code


def _told(one: Airport) -> str:
    return ", ".join(filter(None, (one.subdivision.replace("-", " "), one.country)))


def in_region(code: str, region: str) -> bool:
    """Whether an airport lies in the state or country of this plain name ("maine", "me", "france")."""
    one = airport(code)
    state, subdivision = STATES.get(region.upper()), plain(one.subdivision.replace("-", " "))
    if one.country == "US" and subdivision == (state or region):
        return True
    return subdivision == region or one.country == COUNTRY_NAMES.get(region)


@functools.cache
def regions() -> frozenset[str]:
    """Plain names of states and countries that may follow a city's name."""
    states = {*STATES.values(), *(code.lower() for code in STATES)}
    return frozenset(states | set(COUNTRY_NAMES) | {"england", "scotland", "ontario", "quebec", "british columbia"})


def _is_international(code: str) -> bool:
    name = facts.airports()[code].name.lower()
    return "international" in name or "intl" in name
