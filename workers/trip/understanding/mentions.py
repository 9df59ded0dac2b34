"""Mentions of a day in a text, before anyone knows which day is meant."""

import calendar
import functools
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from workers.trip.understanding.words import ANY_NUMBER, number

MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
WEEKDAYS = tuple(name.lower() for name in calendar.day_name)
YEARS_AHEAD = 8
"""A leap day is at most so far away."""

_MONTH = r"(?P<{0}>" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + r"|sept)\b\.?"
_YEAR = r"(?:,? ?\b(?P<{0}>20[0-9]{{2}})\b(?!-[0-9]{{2}}-))?"
_DAY = r"(?P<{0}>[0-9]{{1,2}})(?:st|nd|rd|th)?"
_NO_DAY = (
    r"(?![.,:][0-9]| (?:people|persons?|adults?|travell?ers?|guests?|friends|kids|children|of us"
    r"|pax|passengers?|infants?|toddlers?|teens?|seniors?"
    r"|nights?|days?|weeks?)\b)"
)
_WEEKDAY = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in WEEKDAYS) + "|tues|thur|thurs"
DATE = re.compile(
    rf"(?:\b(?:(?:on|this|next|coming) )?(?P<named>{_WEEKDAY})\b\.?,? (?:the )?)?(?<![0-9.,/$€£])(?:"
    r"(?P<iso>20[0-9]{2}-[0-9]{2}-[0-9]{2})\b"
    r"|(?P<n1>[0-9]{1,2})(?P<mark>[./])(?P<n2>[0-9]{1,2})(?P=mark)(?P<n3>20[0-9]{2})\b"
    rf"|{_DAY.format('d1')}(?: of)? {_MONTH.format('m1')}{_YEAR.format('y1')}"
    rf"|\b{_MONTH.format('m2')} (?:the )?{_DAY.format('d2')}\b{_NO_DAY}{_YEAR.format('y2')})"
    r"|(?<![0-9.,/$€£])(?<!party of )(?<!group of )(?<!family of )(?<!team of )(?<!crew of )(?P<bare>[0-9]{1,2})"
    rf"(?P<ordinal>st|nd|rd|th)?\b{_NO_DAY}{_YEAR.format('y3')}"
    r"|\b(?P<relative>day after tomorrow|tomorrow|today|tonight)\b"
    rf"|\bin (?P<count>{ANY_NUMBER}) (?P<unit>day|week)s?\b|\b(?P<count2>{ANY_NUMBER}) (?P<unit2>day|week)s? from now\b"
    rf"|\b(?<!good )(?<!black )(?P<which>(?:next|this|coming|on) )?(?P<weekday>{_WEEKDAY})\b"
)
BEHIND_ORDINAL = re.compile(
    r"$|[,.;!?)]| ?[-–]| (?:to|until|till|through|for|and|or|in|with|from|by|at|we|on|around)\b"
)
WORDS = frozenset({"sun", "sat", "wed"})
"""Weekdays only behind "on", "next" and the like."""


@dataclass(frozen=True)
class Mention:
    """A day as it is said: by number, month and year as far as known, by weekday, or by its distance from today.

    `named` is the weekday that is said beside a date.
    """

    start: int
    end: int
    day: int | None = None
    month: int | None = None
    year: int | None = None
    weekday: int | None = None
    ahead: int | None = None
    named: int | None = None
    month_first: bool = False
    alone: bool = True

    @property
    def complete(self) -> bool:
        """Whether it says a day on its own; "12" does not, "the 12th" does."""
        return self.month is not None or self.alone

    @property
    def said(self) -> tuple[int | None, ...]:
        """What it says, wherever it stands."""
        return (self.day, self.month, self.year, self.weekday, self.ahead, self.named)

    def filled(self, month: int | None, year: int | None) -> "Mention":
        """With the month and the year that the other end of its range says."""
        return replace(self, month=self.month or month, year=self.year or year) if self.day else self

    def after(self, other: date) -> date | None:
        """The first such day, not before the other one; with a year, that day. None: there is none, or of that name."""
        if self.ahead is not None:
            return other + timedelta(days=self.ahead)
        if self.weekday is not None:
            return other + timedelta(days=(self.weekday - other.weekday()) % 7 or 7)
        years = [self.year] if self.year else range(other.year, other.year + YEARS_AHEAD + 1)
        for year in years:
            for month in [self.month] if self.month else range(1, 13):
                found = _date(year, month, self.day or 0)
                if found and (self.year or found >= other):
                    return found if self.named in {None, found.weekday()} else None
        return None


@functools.lru_cache(maxsize=1)  # a text is gone through twice: for what it says, and for where it says it
def mentions(text: str) -> tuple[Mention, ...]:
    """All mentions of days in a text in lower case, in order."""
    found = (_mention(match) for match in DATE.finditer(text))
    return tuple(each for each in found if each is not None)


def _mention(match: re.Match[str]) -> Mention | None:
    found = _dated(match, match.groupdict())
    return found and replace(found, named=_weekday(match["named"]) if match["named"] else None)


def _dated(match: re.Match[str], said: dict[str, str]) -> Mention | None:
    start, end = match.span()
    if said["iso"]:
        year, month, day = map(int, said["iso"].split("-"))
        return Mention(start, end, day, month, year)
    if said["n1"]:
        return _numeric(start, end, said)
    if said["relative"]:
        return Mention(start, end, ahead={"day after tomorrow": 2, "tomorrow": 1}.get(said["relative"], 0))
    if said["count"] or said["count2"]:
        days = 7 if (said["unit"] or said["unit2"]) == "week" else 1
        return Mention(start, end, ahead=days * number(said["count"] or said["count2"]))
    if said["weekday"]:
        return Mention(
            start, end, weekday=_weekday(said["weekday"]), alone=bool(said["which"]) or said["weekday"] not in WORDS
        )
    day, year = said["d1"] or said["d2"] or said["bare"], said["y1"] or said["y2"] or said["y3"]
    name = said["m1"] or said["m2"]
    month = next(i for i, each in enumerate(MONTHS, 1) if each.startswith(name[:3])) if name else None
    alone = bool(said["ordinal"]) and bool(BEHIND_ORDINAL.match(match.string[end : end + 8]))
    whole = Mention(start, end, int(day), month, int(year) if year else None, alone=alone)
    return replace(whole, month_first=bool(said["m2"]))


def _numeric(start: int, end: int, said: dict[str, str]) -> Mention | None:
    """12.3.2027 is the 12th of March; 3/12/2027 is one thing in America and another elsewhere, so it is asked."""
    first, second, year = int(said["n1"]), int(said["n2"]), int(said["n3"])
    if said["mark"] == "." or first > 12 or first == second:  # noqa: PLR2004 - months
        return Mention(start, end, first, second, year)
    return Mention(start, end, second, first, year) if second > 12 else None  # noqa: PLR2004 - months


def _weekday(name: str) -> int:
    return next(i for i, each in enumerate(WEEKDAYS) if each.startswith(name[:3]))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # the 31st of June, the 29th of most Februaries
        return None
