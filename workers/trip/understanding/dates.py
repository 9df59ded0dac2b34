"""When a trip starts and how many nights it has. A date without a year is the next such date."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise

from workers.trip.understanding.mentions import MONTHS, Mention, mentions
from workers.trip.understanding.words import ANY_NUMBER, number

LONGEST_SPAN_DAYS = 180
"""A range without years that is longer is the wrong way round: 15 to 12 March."""

JOINED = re.compile(r" ?(?:-|–|—|to|until|till|til|through|thru) ?(?:the |on )?")
BETWEEN_JOINED = re.compile(r" (?:and|&) (?:the )?")
CHOICE = re.compile(r" ?(?:or|/) ?(?:the |on )?")
BACK = re.compile(r"\b(?:until|till|til|through|thru|back|returns?|returning|home|ends?|ending)\b[a-z ]*$")
LOOSE = re.compile(
    r"\b(?:by|before|after|around|about|circa|roughly|not|except|since|(?:later|earlier|sooner) than)"
    r"(?: on)? (?:the )?$"
)
"""Not that day, or not exactly."""

OTHER_WEEK = re.compile(
    r"\b(?:next week|week after|following week|after next|[a-z]+day week|week on|weeks? from [a-z]+day"
    r"|(?:every|each|first|second|third|fourth|last) (?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
)
"""Not the coming Friday, then: in which week a weekday is meant is not said clearly."""

OTHER_MONTH = re.compile(
    rf"\b(?:{'|'.join(name for name in MONTHS if name != 'may')})\b"
    r"|\b(?:in|of|during|early|mid|late)[ -]may\b(?! [0-9])"
)
"""Beside a day it says that the day may be another: "in March, from the 12th"."""

BEHIND = 40
_NOT_A_CHOICE = (
    r"(?<![0-9]-)(?<!\bto )(?<!\bor )(?<!\bleast )(?<!\bmost )(?<!\bthan )"
    r"(?<!\bmin )(?<!\bmax )(?<!\bminimum )(?<!\bmaximum )"
)
"""Nor a bound: who says "at most five nights" has not said how many."""
NIGHTS = re.compile(rf"\b{_NOT_A_CHOICE}(?!an? )({ANY_NUMBER})[ -]nights?\b")
DAYS = re.compile(rf"\b{_NOT_A_CHOICE}(?<!\bin )(?!an? )({ANY_NUMBER})[ -](?:full )?days?\b(?! from now)")
WEEKS = re.compile(
    rf"\b{_NOT_A_CHOICE}(?<!\bin )({ANY_NUMBER})[ -]weeks?\b(?! from now| (?:on|from) [a-z]+day)"
    r"|\b(fortnight)\b|\bfor the week\b|\bweek-?long\b"
)
OPEN_NIGHTS = re.compile(
    rf"\b(?:(?:at )?(?:least|most|min(?:imum)?|max(?:imum)?) )?(?:{ANY_NUMBER}(?: ?- ?| to | or ))?{ANY_NUMBER}"
    r"[ -](?:nights?|(?:full )?days?|weeks?)\b"
)
OPEN_DAY = re.compile(
    rf"\b[0-9]{{1,2}}/[0-9]{{1,2}}(?:/[0-9]{{2,4}})?\b|\b(?:(?:early|mid|late|end of) )?(?:{'|'.join(MONTHS)})\b"
)
"""What says neither how many nights nor which day, so that it is asked."""
WEEKEND = re.compile(r"\b(long )?weekend\b")


def understood(text: str, today: date) -> dict[str, object]:
    """`start_date` and `nights` as far as a text in lower case says them.

    "Four days" are three nights, a week is seven, a weekend two; a range of dates says both. What contradicts itself
    (five nights from 12 to 15 March) or leaves a choice (12 or 19 March) is left out.
    """
    nights, days = _only(NIGHTS, text), _only(DAYS, text)
    start, end = _span(text, today)
    fields: dict[str, object] = {"start_date": start.isoformat()} if start else {}
    if start and end:
        between = (end - start).days
        agrees = nights in {None, between} and (nights or days in {None, between, between + 1})
        return {**fields, "nights": between} if agrees else fields
    if nights and days and nights not in {days, days - 1}:
        return fields
    if nights is None:
        nights = days - 1 if days else _vaguely(text)
    return {**fields, "nights": nights} if nights else fields


def read(text: str, fields: Mapping[str, object]) -> Iterator[tuple[int, int]]:
    """Where a text in lower case says what these fields hold of dates and nights, or what makes that they are asked."""
    open_ = "start_date" not in fields
    patterns = [NIGHTS, DAYS, WEEKS, WEEKEND, *([OPEN_DAY, OTHER_WEEK] if open_ else [])]
    for pattern in [*patterns, *([] if "nights" in fields else [OPEN_NIGHTS])]:
        yield from (match.span() for match in pattern.finditer(text))
    found = mentions(text)
    for one, following in pairwise(found):
        if _joined(text, one, following) or (open_ and CHOICE.fullmatch(text[one.end : following.start])):
            yield one.start, following.end
    for one in found:
        if one.complete and (open_ or not LOOSE.search(_before(text, one))):
            yield one.start, one.end


def _only(pattern: re.Pattern[str], text: str) -> int | None:
    """The one number that is said; None where there is none, or are two."""
    found = {number(match[1]) for match in pattern.finditer(text)}
    return found.pop() if len(found) == 1 else None


def _vaguely(text: str) -> int | None:
    if DAYS.search(text) or NIGHTS.search(text):
        return None
    weeks = {number(match[1]) if match[1] else 2 if match[2] else 1 for match in WEEKS.finditer(text)}
    if weeks:
        return 7 * weeks.pop() if len(weeks) == 1 else None
    weekend = WEEKEND.search(text)
    return None if weekend is None else 3 if weekend[1] else 2


def _span(text: str, today: date) -> tuple[date | None, date | None]:
    """The first and the last day that the text says."""
    found = [one for one in mentions(text) if not text.startswith(" weekend", one.end)]
    if OTHER_WEEK.search(text) and any(one.weekday is not None for one in found):
        return None, None
    named = sum(1 for one in found for _ in OTHER_MONTH.finditer(text, one.start, one.end))
    if named < sum(1 for _ in OTHER_MONTH.finditer(text)):
        return None, None
    pairs = list(pairwise(found))
    if any(CHOICE.fullmatch(text[a.end : b.start]) and (a.complete or b.complete) for a, b in pairs):
        return None, None
    ranges = [(a, b) for a, b in pairs if _joined(text, a, b)]
    taken = {id(one) for pair in ranges for one in pair}
    alone = [one for one in found if one.complete and id(one) not in taken]
    if ranges:
        spans = {_resolved(first, last, today) for first, last in ranges}
        return spans.pop() if len(spans) == 1 and not alone else (None, None)
    alone = [one for one in alone if not LOOSE.search(_before(text, one))]
    ends = [one for one in alone if BACK.search(_before(text, one))]
    starts = [one for one in alone if one not in ends]
    if len({one.said for one in starts}) != 1:
        return None, None
    return _resolved(starts[0], ends[0], today) if len(ends) == 1 else (starts[0].after(today), None)


def _joined(text: str, first: Mention, last: Mention) -> bool:
    """Whether two mentions are the ends of one range."""
    if not (first.complete or last.complete) or (last.month_first and not first.complete):
        return False  # "for 2 - March 15" is none
    between = text[first.end : last.start]
    if JOINED.fullmatch(between):
        return True
    return bool(BETWEEN_JOINED.fullmatch(between)) and _before(text, first).endswith(("between ", "between the "))


def _before(text: str, mention: Mention) -> str:
    return text[max(0, mention.start - BEHIND) : mention.start]


def _resolved(first: Mention, last: Mention, today: date) -> tuple[date | None, date | None]:
    """Real dates; each end takes from the other what it does not say itself."""
    year = first.year
    if year is None and last.year is not None:
        year = last.year - int((first.month or 0) > (last.month or first.month or 0))
    start = first.filled(last.month, year).after(today)
    if start is None:
        return None, None
    end = last.filled(first.month, None).after(today if last.ahead is not None else start)
    if end is None or not 0 < (end - start).days <= LONGEST_SPAN_DAYS:
        return None, None
    return start, end
