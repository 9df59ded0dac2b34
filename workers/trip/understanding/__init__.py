"""Free text -> fields of a TripRequest, by rules and a gazetteer. What is not understood is left out, and so asked.

Each field has a module with one function `understood`; all of them read the text once, with patterns that need time in
proportion to its length.
"""

import unicodedata
from datetime import UTC, date, datetime
from typing import Any

from workers.trip.understanding import dates, interests, money, party, places, wanted

__all__ = ["understand"]


def understand(text: str, today: date | None = None) -> dict[str, Any]:
    """The fields that a text says: origin, destination, start_date, nights, travellers, money_usd, interests, wanted.

    Money that is said and is no sum for the trip ("$150 a night") is in `money_usd` as it was said, so that it is
    asked.

    Args:
        text: a request in English.
        today: dates without a year are the next such date from here; by default the day it is, by UTC.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    lower = text.lower()
    fields: dict[str, Any] = {**places.understood(text), **dates.understood(lower, today or datetime.now(UTC).date())}
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
    if found := interests.understood(lower):
        fields["interests"] = found
    if parts := wanted.understood(lower):
        fields["wanted"] = parts
    return fields
