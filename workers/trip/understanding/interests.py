"""What the trip is for."""

import re

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
NEGATED = re.compile(r"\b(?:no|not|without|hate|hates|except|avoid) (?:any |do |the )?$")
PARTY_OF = re.compile(r" ?of\b")


def understood(text: str) -> list[str]:
    """The interests of a text in lower case, in the order they are first mentioned."""
    found: dict[str, None] = {}
    for match in WORD.finditer(text):
        interest = MEANT.get(match[0])
        if interest is None or interest in found:
            continue
        if NEGATED.search(text[max(0, match.start() - 16) : match.start()]):
            continue
        if match[0] == "party" and PARTY_OF.match(text, match.end()):
            continue
        found[interest] = None
    return list(found)
