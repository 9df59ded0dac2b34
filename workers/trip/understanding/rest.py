"""What a text says beside all that was read in it: the words of which no field was made and that mean something."""

import re
import unicodedata
from collections.abc import Iterable

Span = tuple[int, int]
"""Where something that was read begins and ends in the text."""

MOST_PHRASES, LONGEST_PHRASE = 5, 60
READ = "\0"
CLAUSE = re.compile(r"(?:[^,.;:!?()\[\]{}<>/|\"\0]|(?<=[0-9])[.,](?=[0-9]))+")
WORD = re.compile(r"[$€£¥]?[^\W_]+(?:['’.,-][^\W_]+)*|[^\w\s]")
DENIAL = re.compile(r"no|not|never|without|nor|.*n['’]t", re.IGNORECASE)
"""What such a word denies is told with it, whatever it is."""
_MEANINGLESS = """
a an the and or but of to from in on at for by with as is are am be been being was were it its this that these those
there here i me my mine we us our ours you your he she they them their which what when where who how
i'd i'll i'm i've we'd we'll we're we've it's let's that's there's
would could can may might will shall should must do does have has had having got like love loves want wants wanted
need needs wish hope hoping looking look find get give show tell book reserve plan planning organise organize arrange
make take let go goes going come fly flies flying visit visiting see spend stay staying leave leaving depart departing
departure start starts starting begin beginning begins arrive arriving return returning back home live living based
head heading explore exploring discover until till through destination origin
please thanks thank hi hello hey dear regards best kind cheers help so very really just also too then ok okay yes
trip trips travel travelling traveling holiday holidays vacation getaway break journey tour flight flights hotel hotels
room rooms restaurant restaurants weather accommodation night nights day days week weeks weekend city town place places
area airport ticket tickets people person traveller travellers traveler travelers round downtown out into towards near
around about over between
nice lovely great good beautiful wonderful fun perfect amazing awesome sunny little small short quick long some any
all both whole total new next coming something lot lots much many more than
spring summer autumn fall winter
budget dollar dollars money cost costs price under max maximum up
"""
MEANINGLESS = frozenset(_MEANINGLESS.split())
"""Words that change no trip; what denies, limits or prefers ("not", "without", "only") is not among them."""


def unread(text: str, read: Iterable[Span]) -> list[str]:
    """The phrases of a text that nothing was made of, each from its first word that means something to its last."""
    letters = list(text)
    for start, end in read:
        letters[start:end] = READ * (end - start)
    phrases: dict[str, None] = {}
    for clause in CLAUSE.finditer("".join(letters)):
        words = [word for word in WORD.finditer(clause[0]) if _means_something(word[0])]
        if words:
            denied = DENIAL.fullmatch(words[-1][0])
            phrases[clause[0][words[0].start() : None if denied else words[-1].end()].strip()] = None
    return [phrase[:LONGEST_PHRASE] for phrase in list(phrases)[:MOST_PHRASES]]


def _means_something(word: str) -> bool:
    """Words and numbers that are not known to be empty, and pictures."""
    if word[-1].isalnum():
        return word.lower().replace("’", "'") not in MEANINGLESS
    return unicodedata.category(word) == "So"
