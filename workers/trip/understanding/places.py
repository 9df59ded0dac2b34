"""Where a trip starts and where it goes."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from workers.trip.understanding import gazetteer
from workers.trip.understanding.gazetteer import CODE_LENGTH, LONGEST_NAME, Named, plain
from workers.trip.understanding.names import KNOWN, NO_CODES, WORDS

WORD = re.compile(r"[^\W\d_]+(?:['’.][^\W\d_]+)*\.?")
LOWER_CODES = frozenset(
    "jfk lga ewr nyc lax sfo ord mdw dfw iah atl lhr lgw cdg phx clt dtw msp phl slc pdx bwi iad dca yyz".split()  # noqa: SIM905 - a list of codes
)
_SUCH = r"(?: |: ?|, )(?:the |downtown |sunny |beautiful |lovely |greater |old |my |our |home |good old )*$"
FROM = re.compile(
    r"\b(?:from|von|out of|leav(?:e|es|ing)|depart(?:s|ing|ure)?(?: from| at)?|start(?:s|ing)? (?:in|from|at)|"
    r"origin|based in|liv(?:e|ing) in|home is|home in|i'm in|i am in|we're in|we are in|currently in|fly out of)"
    + _SUCH
)
TO = re.compile(
    r"\b(?:to|nach|around|in|visit|visiting|near|at|for|explore|exploring|see|into|towards?|about|of|destination|discover|"
    r"tour|over|love|holiday|trip|break|getaway|do)" + _SUCH
)
PASSED = re.compile(
    r"\b(?:via|through|stop(?:ping)?(?: over)? in|stopover in|layover in|connecting in|back to|"
    r"return(?:ing)? to|back in|home to|not|not to|not in|except|instead of|rather than|avoid|but|unlike)" + _SUCH
)
BOUND = re.compile(r"\b(?:to|towards?|into|around|in|visit|visiting|near|explore|exploring|see)" + _SUCH)
"""Of the words of TO those after which "X to Y" does not start in X: "in Denver - New York"."""

ONWARD = re.compile(r" ?(?:to|-+>?|–|—|→|>) ?(?:the )?")
CHOICE = re.compile(r" (?:or|and) [^\W\d_]")
LEADS = re.compile(r"(?:^|[,.;:!?] | - )$")
EITHER = re.compile(r" ?(?:or|/) ?(?:the |maybe )?")
LOOK_BACK = 36
SHOUTED = 0.6
"""Where more of the words than this are written in capitals, they say nothing."""


@dataclass(frozen=True)
class Place:
    """A mention of a place; no code where the name is open."""

    start: int
    end: int
    code: str | None


def understood(text: str) -> dict[str, str]:
    """`origin` and `destination` as far as the text says them; of several, and of open names, none."""
    found = [place for place in mentioned(text) if not PASSED.search(_before(text, place.start))]
    origins, destinations, others = list[Place](), list[Place](), list[Place]()
    group = others
    for i, place in enumerate(found):
        before = _before(text, place.start)
        if i and EITHER.fullmatch(text[found[i - 1].end : place.start]):
            group.append(place)
            continue
        onward = i + 1 < len(found) and ONWARD.fullmatch(text[place.end : found[i + 1].start])
        if FROM.search(before) or (onward and not BOUND.search(before)):
            group = origins
        else:
            group = destinations if TO.search(before) else others
        group.append(place)
    if not origins and len(found) > 1 and len(destinations) == 1 and len(others) == 1:
        origins, others = others, []  # "New York, three days in Denver"
    starts = _one(origins)
    if destinations and {place.code for place in others} - {starts, _one(destinations)}:
        destinations += others  # "Chicago, with a day trip to Milwaukee"
    ends = [place for place in destinations or others if place.code is None or place.code != starts]
    if not ends:
        ends = [place for place in others if place.code is None or place.code != starts]
    return {name: code for name, code in (("origin", starts), ("destination", _one(ends))) if code}


def read(text: str, fields: Mapping[str, object]) -> Iterator[tuple[int, int]]:
    """Where a text says the places that these fields hold, or that make that one is asked."""
    meant = {fields.get("origin"), fields.get("destination")}
    for place in mentioned(text):
        if place.code in meant or (None in meant and not PASSED.search(_before(text, place.start))):
            yield place.start, place.end


def _one(places: list[Place]) -> str | None:
    codes = {place.code for place in places}
    return codes.pop() if len(codes) == 1 else None


def _before(text: str, start: int) -> str:
    return text[max(0, start - LOOK_BACK) : start].lower()


@functools.lru_cache(maxsize=1)  # as of days
def mentioned(text: str) -> tuple[Place, ...]:
    """The places of a text, the longest name at each word."""
    words, i = list(WORD.finditer(text)), 0
    long = [word[0].isupper() for word in words if len(word[0]) > CODE_LENGTH]
    shouted = sum(long) > SHOUTED * len(long)
    found = list[Place]()
    while i < len(words):
        for length in range(min(LONGEST_NAME, len(words) - i), 0, -1):
            start, end = words[i].start(), words[i + length - 1].end()
            onward = bool(found and ONWARD.fullmatch(text, found[-1].end, start))
            named = _named(text, start, end, shouted=shouted, onward=onward)
            if named is not None:
                region, further = _region(text, words, i + length)
                sure = gazetteer.lookup(plain(text[start:end]), region) if region else None
                named, length = (sure, length + further) if sure else (named, length)  # noqa: PLW2901 - the name went on
                found.append(Place(start, words[i + length - 1].end(), named.code))
                i += length - 1
                break
        i += 1
    return tuple(found)


def _named(text: str, start: int, end: int, *, shouted: bool, onward: bool) -> Named | None:
    """What these words mean as a place, in view of their capitals and the word or place before them."""
    name = text[start:end]
    bare = name.rstrip(".")
    key = plain(name)
    if len(bare) == CODE_LENGTH and bare.isascii() and bare not in NO_CODES:
        written = bare.isupper() and (not shouted or _cued(text, start))
        if (written or (bare in LOWER_CODES and _cued(text, start, end))) and gazetteer.is_code(bare.upper()):
            return Named(bare.upper())
    if key in KNOWN and key not in WORDS:
        return gazetteer.lookup(key)
    capital = all(word[0].isupper() for word in re.split(r"[ '’-]+", name) if word not in {"of", "de", "the", ""})
    short = key in WORDS and (bare.isupper() and len(key) < CODE_LENGTH and not shouted)
    if short or (key in KNOWN and _cued(text, start, end)):
        return gazetteer.lookup(key)
    if not capital or ((key in WORDS or shouted) and not (onward or _cued(text, start, end))):
        return None
    return gazetteer.lookup(key)


def _cued(text: str, start: int, end: int = -1) -> bool:
    """Whether a word before says that a place follows, or "to", "or" and a dash that one was meant."""
    before, behind = _before(text, start), text[end : end + 6] if end >= 0 else ""
    choice = CHOICE.match(behind)
    chosen = choice is not None and choice[0][-1].isupper()
    leads = behind == " from " and LEADS.search(before)  # "Phoenix from Miami"
    return bool(FROM.search(before) or TO.search(before) or ONWARD.match(behind) or chosen or leads)


def _region(text: str, words: list[re.Match[str]], at: int) -> tuple[str, int]:
    """A state or country right behind a name, and how many words it takes: ", Maine", " ME", " in France"."""
    skipped = 1 if at < len(words) and words[at][0] == "in" else 0
    for length in range(min(3, len(words) - at - skipped), 0, -1):
        first, last = words[at + skipped], words[at + skipped + length - 1]
        name = text[first.start() : last.end()]
        key = plain(name)
        if key in gazetteer.regions() and (len(key) > 2 or name.rstrip(".").isupper()):  # noqa: PLR2004 - "in", "or", "me"
            near = text[words[at - 1].end() : first.start()]
            return (key, length + skipped) if near in {" ", ", ", " in ", ","} else ("", 0)
    return "", 0
