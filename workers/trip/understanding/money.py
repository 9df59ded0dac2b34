"""What the trip may cost, in US dollars."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise, zip_longest
from typing import Any

from workers.trip.understanding.words import ANY_NUMBER, number

SIGNS = {"us$": "USD", "c$": "CAD", "a$": "AUD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
WORDS = {
    "dollar": "USD", "dollars": "USD", "bucks": "USD", "us dollars": "USD", "canadian dollars": "CAD", "euro": "EUR",
    "australian dollars": "AUD", "euros": "EUR", "pound": "GBP", "pounds": "GBP", "pounds sterling": "GBP",
    "quid": "GBP", "swiss francs": "CHF", "francs": "CHF", "yen": "JPY", "grand": "USD",
}  # fmt: skip
CODES = (
    "usd",
    "eur",
    "gbp",
    "chf",
    "cad",
    "aud",
    "jpy",
    "sek",
    "nok",
    "dkk",
    "pln",
    "czk",
    "huf",
    "mxn",
    "nzd",
    "inr",
    "brl",
)
_AMOUNT = r"(?:[0-9]{{1,3}}(?:[.,’' ][0-9]{{3}}(?![0-9])){{1,3}}|[0-9]{{1,9}})(?:[.,][0-9]{{1,2}}(?![0-9]))?"
_FIGURE = "(?P<{0}>" + _AMOUNT + r") ?(?P<k{0}>k|thousand|grand)?\b"
_UNIT = "|".join(sorted(map(re.escape, (*SIGNS, *WORDS, *CODES)), key=len, reverse=True))
_CUE = (
    r"budget(?: is| of)?:?|under|below|at most|"
    r"no more than|not more than|less than|maximum(?: of)?|max\.?|up to|spend|within|cheaper than"
)
MONEY = re.compile(
    rf"(?P<before>us\$|c\$|a\$|[$€£¥]|\b(?:{'|'.join(CODES)})\b) ?{_FIGURE.format('a')}"
    rf"|(?<![0-9.,]){_FIGURE.format('b')} ?(?P<after>{_UNIT})(?![a-z])"
    rf"|\b(?P<word>{ANY_NUMBER}) (?P<size>hundred|thousand|grand)(?: (?P<behind>{_UNIT})(?![a-z]))?"
    rf"|\b(?:{_CUE}) (?:about |around |roughly |of )?{_FIGURE.format('c')}(?: ?(?P<last>{_UNIT})(?![a-z]))?"
)
CUE = re.compile(rf"\b(?:{_CUE}) (?:about |around |roughly |of )?$")
EACH = re.compile(r" ?(?:each|per (?:person|head|adult|traveller)|a (?:head|person)|/ ?person|p\.?p\.?|apiece)\b")
RATE = re.compile(r" ?(?:(?:a|per|every|each) (?:night|day)|/ ?(?:night|day)|nightly|daily|off\b)")
NO_MONEY = re.compile(
    r" ?(?:km|kilomet|mi\b|mile|m\b|met|feet|ft|people|person|adult|hour|minute|h\b|night|day|week|°|"
    r"degree|year|star|kg|lb)"
)
TO = re.compile(r" ?(?:-|–|to|and) ?")
LESS = re.compile(r"(?:^|[ ,:(])[-−]$")
FLOOR = re.compile(r"\b(?:at least|(?<!no )(?<!not )more than|over|minimum(?: of)?|min\.?|from|starting at) $")
UNREAD = re.compile(
    rf"\b(?:{_AMOUNT.format()}|{ANY_NUMBER}) ?(?:(?:hundred|thousand|million|k) ?)?"
    r"(?:rupees?|pesos?|kr|kron(?:or|er|a)|rand|baht|won|lira|dirhams?|zloty|forint|ringgit|shekels?|reais|real|lakh|million)\b"
    rf"|\b(?:(?:half|quarter) (?:a )?(?:thousand|million|grand)|and a half (?:thousand|million|grand|k))\b"
    rf"|\b{ANY_NUMBER} thousand,? (?:and )?{ANY_NUMBER} hundred\b"
)
"""Sums that are said in a way that is not read: another currency, a number in several words."""
UPPER = re.compile(rf" ?(?:-|–|to) ?{_FIGURE.format('u')}(?!{NO_MONEY.pattern}|[-./][0-9])")
SMALLEST_BARE = 100
CENTS = 2
LARGEST_USD = 1_000_000


@dataclass(frozen=True)
class Money:
    """An amount in US dollars, and where that comes from if it was said in another currency."""

    usd: float
    source: str = ""


@dataclass(frozen=True)
class Said:
    """An amount as it stands in the text; no currency where only "under 2500" is said."""

    start: int
    end: int
    amount: float
    currency: str
    each: bool


def understood(text: str, travellers: int | None) -> Money | None:
    """The traveller's money that a text in lower case says; None where none is.

    Of a range the upper end counts. Prices a night are no sum. Sums a person are multiplied by the travellers, if they
    are known.
    """
    said = _sums(text)
    if not said or unclear(text, travellers):
        return None
    one = said[0]
    total = _in_usd(one.amount * (travellers or 1 if one.each else 1), one.currency or "USD")
    return total if 0 < total.usd <= LARGEST_USD else None


def unclear(text: str, travellers: int | None) -> str:
    """What a text in lower case says of money that is no ceiling of the trip's cost; empty: there is nothing such.

    A night's price where no sum is said, a head's where nobody knows how many travel, the least that may be spent,
    nothing or less, a currency or a number that is not read, several sums.
    """
    found, sums = "", _sums(text)
    for match in MONEY.finditer(text):
        end = _end(text, match)
        behind = text[end : end + 16]
        if rate := RATE.match(behind):
            found = found or ("" if rate[0].endswith("off") else text[match.start() : end + rate.end()])
        elif (each := EACH.match(behind)) and travellers is None:
            return text[match.start() : end + each.end()].strip()
        elif floor := FLOOR.search(text, max(0, match.start() - 16), match.start()):
            return text[floor.start() : end].strip()
        elif less := LESS.search(text, max(0, match.start() - 2), match.start()):
            return text[less.end() - 1 : end]
    if unread := UNREAD.search(text):
        return unread[0]
    several = len({(one.amount, one.currency, one.each) for one in sums}) > 1
    if several or (sums and not 0 < sums[0].amount <= LARGEST_USD):
        return text[sums[0].start : sums[-1].end]
    return "" if sums else found.strip()


def read(text: str, travellers: int | None) -> Iterator[tuple[int, int]]:
    """Where a text in lower case says what was made of it, or what is asked."""
    open_ = unclear(text, travellers)
    yield text.find(open_), text.find(open_) + len(open_)
    for one in [each for match in MONEY.finditer(text) if (each := _said(text, match))]:
        cue, each = CUE.search(text, max(0, one.start - 24), one.start), EACH.match(text, one.end)
        yield cue.start() if cue else one.start, each.end() if each else one.end


def _sums(text: str) -> list[Said]:
    """The amounts that are said; of a range its upper end."""
    said = [each for match in MONEY.finditer(text) if (each := _said(text, match))]
    upper = [TO.fullmatch(text[one.end : following.start]) for one, following in pairwise(said)]
    return [one for one, goes_on in zip_longest(said, upper) if one and not goes_on]


def _end(text: str, match: re.Match[str]) -> int:
    """Where an amount ends, the upper end of a range included: "$500-600"."""
    upper = UPPER.match(text, match.end()) if match["a"] else None
    return upper.end() if upper else match.end()


def _said(text: str, match: re.Match[str]) -> Said | None:
    end, found = _end(text, match), match.groupdict()
    behind = text[end : end + 16]
    if RATE.match(behind):
        return None
    unit = found["before"] or found["after"] or found["behind"] or found["last"] or ""
    if not unit and (NO_MONEY.match(behind) or (found["word"] and found["size"] != "grand")):
        return None
    if found["word"]:
        amount = float(number(found["word"]) * (100 if found["size"] == "hundred" else 1_000))
    else:
        kind = next(each for each in "abc" if found[each])
        amount = _amount(found[kind]) * (1_000 if found[f"k{kind}"] or unit == "grand" else 1)
        if kind == "a" and (upper := UPPER.match(text, match.end())):
            amount = max(amount, _amount(upper["u"]) * (1_000 if upper["ku"] else 1))
        if not unit and amount < SMALLEST_BARE:
            return None
    currency = SIGNS.get(unit) or WORDS.get(unit) or unit.upper()
    return Said(match.start(), end, amount, currency, bool(EACH.match(behind)))


def _amount(figure: str) -> float:
    """2,500 and 2.500 and 2 500 are the same; 2.5 and 2,50 are not."""
    last = max(figure.rfind("."), figure.rfind(","))
    decimals = len(figure) - last - 1 if last > 0 else 0
    whole, cents = (figure[:last], figure[last + 1 :]) if 0 < decimals <= CENTS else (figure, "")
    return float("".join(filter(str.isdecimal, whole)) + "." + (cents or "0"))


def _in_usd(amount: float, currency: str) -> Money:
    """By the European Central Bank's last rate that the package knows."""
    if currency == "USD":
        return Money(round(amount, 2))
    rate, day = _rate(currency)
    return Money(round(amount * rate, 2), f"{amount:,.2f} {currency} at the European Central Bank's rate of {day}")


@functools.cache
def _rate(currency: str) -> tuple[float, date]:
    from currency_converter import CurrencyConverter  # noqa: PLC0415 - a quarter second, for money not in dollars

    rates: Any = CurrencyConverter(fallback_on_missing_rate=True)
    day: date = min(rates.bounds[one].last_date for one in (currency, "USD") if one in rates.bounds)
    return float(rates.convert(1, currency, "USD", day)), day
