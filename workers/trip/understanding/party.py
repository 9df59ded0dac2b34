"""How many people travel."""

import re

from workers.trip.understanding.words import ANY_NUMBER, number

MOST_TRAVELLERS = 9
_PEOPLE = (
    "people|persons?|adults?|travell?ers?|passengers?|guests?|pax|of us|kids?|child(?:ren)?|infants?|bab(?:y|ies)|"
    "toddlers?|teens?|teenagers?|seniors?|friends|colleagues"
)
_PARTNER = (
    "wife|husband|partner|girlfriend|boyfriend|fianc[eé]e?|spouse|mother|father|mom|mum|dad|brother|sister|son|daughter|"
    "best friend|friend|boss|colleague"
)
COUNTED = re.compile(
    rf"(?:\b(?P<choice>[0-9]{{1,3}}|{ANY_NUMBER})(?: to | or |-| ?– ?))?\b(?P<number>{ANY_NUMBER})[ -]"
    rf"(?:(?:more|small|young|little|grown|old|other) )?(?P<who>{_PEOPLE})\b"
)
GROUP = re.compile(rf"\b(?:family|party|group|team|us|crew) (?:of|,? ?all) ({ANY_NUMBER})\b(?! (?:to|or) )")
FOR = re.compile(
    rf"\b(?:for|seats|us|we are) (?P<number>{ANY_NUMBER})(?=$|[.,;!?)]| - |"
    r"\b (?:from|to|in|on|with|under|please|around|near|and|leaving)\b)"
)
ALONE = re.compile(r"\b(?:alone|solo|by myself|just me|only me|on my own|myself)\b")
AND_I = re.compile(r",? (?:and|&|plus) (?:i|me|myself)\b")
SOLO = re.compile(r"\b(?:alone|solo|by myself|on my own)\b")
COUPLE = re.compile(
    r"\b(?:as a couple|for a couple|we are a couple"
    r"|a couple(?= from| in|,|\.|$)|honeymoon|us both|both of us)\b"
)
COMPANION = re.compile(rf"\b(?:with|and|plus) my (?:{_PARTNER})\b|\bmy (?:{_PARTNER})(?=,? (?:and|&) )")
TRAVELLING = re.compile(r"\bfamily (?=trip|holiday|vacation|getaway|weekend)")
ALONG = re.compile(
    r"(?<!visit )(?<!visiting )(?<!see )(?<!meet )\b"
    rf"(?:kids|children|friends|buddies|parents|grandparents|relatives|couples|{_PARTNER})\b"
)
OWN = frozenset({"friends", "colleagues"})
"""Those who come along with the one who writes."""
ALL = frozenset({"people", "person", "persons", "of us", "travellers", "travelers", "passengers", "guests", "pax"})
"""Words that count everybody."""


def understood(text: str) -> int | None:
    """The number of travellers that a text in lower case says; None where it says none, several, or more than nine."""
    groups = {number(found[1]) for found in GROUP.finditer(text)}
    counted = list(COUNTED.finditer(text))
    if any(found["choice"] for found in counted):
        return None
    everybody = groups | {number(found["number"]) for found in counted if found["who"] in ALL}
    if everybody and SOLO.search(text):
        everybody.add(1)
    if not everybody and _uncounted(text):
        return None
    if not everybody:
        everybody = _added_up(text, counted)
    if not everybody and COUPLE.search(text):
        everybody = {2}
    if not everybody and (found := FOR.search(text)):
        everybody = {number(found["number"])}
    if not everybody and ALONE.search(text):
        everybody = {1}
    party = everybody.pop() if len(everybody) == 1 else 0
    return party if 1 <= party <= MOST_TRAVELLERS else None


def read(text: str) -> list[tuple[int, int]]:
    """Where a text in lower case says how many travel; what contradicts itself is asked."""
    patterns = (COUNTED, GROUP, FOR, ALONE, COUPLE, COMPANION, TRAVELLING)
    return [found.span() for pattern in patterns for found in pattern.finditer(text)]


def _uncounted(text: str) -> bool:
    """Whether somebody comes along who is not counted: "my wife and kids"."""
    return bool(ALONG.search(COMPANION.sub("-", COUNTED.sub("-", text))))


def _added_up(text: str, counted: list[re.Match[str]]) -> set[int]:
    """Adults and children; companions and the one who writes."""
    companions = len(set(COMPANION.findall(text)))
    others = sum(number(found["number"]) for found in counted)
    grown = any(found["who"].startswith(("adult", "senior")) for found in counted)
    if not companions and not counted:
        return set()
    if companions or (not grown and any(_along(text, found) for found in counted)):
        return {1 + companions + others}
    return {others} if grown or any(found["who"] in OWN for found in counted) else set()


def _along(text: str, found: re.Match[str]) -> bool:
    """Whether they are said to come with the one who writes: "with two friends", "me and my 3 kids", "4 sons and I"."""
    return bool(AND_I.match(text, found.end())) or text[max(0, found.start() - 12) : found.start()].endswith(
        ("with ", "with my ", "me and ", "and my ", "plus ")
    )
