"""Free text -> fields of a TripRequest, by rules and a gazetteer. What is not understood is left out, and so asked.

Each field has a module with one function `understood`; all of them read the text once, with patterns that need time in
proportion to its length.
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Any

from workers.trip.understanding import dates, interests, money, party, places, rest, wanted

__all__ = ["understand"]


def understand(text: str, today: date | None = None) -> dict[str, Any]:
    """The fields that a text says: origin, destination, start_date, nights, travellers, money_usd, interests, wanted.

    Money that is said and is no sum for the trip ("$150 a night") is in `money_usd` as it was said, so that it is
    asked. Where the text says more than was read in it, `interests` holds `read` and `unread`, and is asked, too.

    Args:
        text: a request in English.
        today: dates without a year are the next such date from here; by default the day it is, by UTC.
    """
    today = today or datetime.now(UTC).date()
    text = _years_named(" ".join(unicodedata.normalize("NFC", text).split()), today.year)
    lower = "".join(each.lower() if len(each.lower()) == 1 else each for each in text)
    fields: dict[str, Any] = {**places.understood(text), **dates.understood(lower, today)}
    travellers = party.understood(lower)
    cost = money.understood(lower, travellers)
    if travellers:
        fields["travellers"] = travellers
    if cost:
        fields["money_usd"] = cost.usd
    if cost and cost.source:
        fields["money_source"] = cost.source
    if not cost and (open_ := money.unclear(lower, travellers)):
        fields["money_usd"] = open_
    if parts := wanted.understood(lower):
        fields["wanted"] = parts
    found = interests.understood(lower)
    read = (
        *places.read(text, fields),
        *dates.read(lower, fields),
        *party.read(lower),
        *money.read(lower, travellers),
        *wanted.read(lower),
        *interests.read(lower),
    )
    if unread := rest.unread(text, read):
        fields["interests"] = {"read": found, "unread": unread}
    elif found:
        fields["interests"] = found
    return fields


def _years_named(text: str, year: int) -> str:
    return re.sub(r"(?i)\b(this|next) year\b", lambda said: str(year + (said[1].lower() == "next")), text)
