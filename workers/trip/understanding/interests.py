"""What the trip is for."""

import re
from collections.abc import Iterator

WORD = re.compile(r"[a-z]+")
_MEANT = """
hiking: hiking hike hikes trekking trek walking trails trail
skiing: skiing ski snowboarding snow
food: food foodie gastronomy eating restaurants cuisine culinary
museums: museums museum galleries gallery
art: art arts painting
history: history historic historical
beaches: beaches beach swimming seaside
music: music jazz concerts concert
shopping: shopping shops
climbing: climbing bouldering
biking: biking cycling bike bikes
nightlife: nightlife clubs clubbing bars party partying
wine: wine wines wineries vineyards
photography: photography photos
architecture: architecture
theatre: theatre theater theaters broadway musicals
surfing: surfing surf
diving: diving snorkeling snorkelling scuba
fishing: fishing
golf: golf golfing
camping: camping
nature: nature wildlife outdoors mountains
sports: sports baseball basketball football
sightseeing: sightseeing sights landmarks
relaxing: relaxing spa wellness
italian: italian pizza pasta
mexican: mexican tacos
japanese: japanese sushi ramen
indian: indian
vegetarian: vegetarian vegan
french: french
thai: thai
"""
MEANT = {word: line.partition(":")[0] for line in _MEANT.strip().split("\n") for word in line.partition(":")[2].split()}
NEGATED = re.compile(
    r"\b(?:no|not|never|without|hates?|dislikes?|except|avoid|skip|instead of|rather than|(?:any|every)thing but|"
    r"no more|(?:don|doesn|can|won)['’]?t(?: like| want| need| do)?) (?:to |any |do |go |the )*$"
)
LOOK_BACK = 30
PARTY_OF = re.compile(r" ?of\b")


def understood(text: str) -> list[str]:
    """The interests of a text in lower case, in the order they are first mentioned."""
    return list(dict.fromkeys(MEANT[match[0]] for match in _mentioned(text)))


def read(text: str) -> list[tuple[int, int]]:
    """Where they are mentioned."""
    return [match.span() for match in _mentioned(text)]


def _mentioned(text: str) -> Iterator[re.Match[str]]:
    """The words that are not denied."""
    for match in WORD.finditer(text):
        if match[0] not in MEANT or (match[0] == "party" and PARTY_OF.match(text, match.end())):
            continue
        if not NEGATED.search(text, max(0, match.start() - LOOK_BACK), match.start()):
            yield match
