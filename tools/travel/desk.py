"""What the booking servers share: checked arguments, dice that always fall the same, and the ledger's tools."""

import hashlib
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from tools.travel.ledger import Ledger
from tools.travel.refused import Refused

KEY_META = "io.surefoot/idempotency-key"
FARTHEST_DAYS = 730

PLAIN = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: PostgreSQL stores no NUL, and nobody books in two lines."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PLAIN)]
City = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=PLAIN)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=PLAIN)]
Party = Annotated[int, Field(ge=1, le=9, description="people")]
Day = Annotated[date, Field(description="ISO date")]
Limit = Annotated[int, Field(ge=1, le=20)]
Money = Annotated[float, Field(gt=0, le=1_000_000, description="US dollars")]

READ = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
BOOKS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


class Booking(BaseModel):
    """A booking as the ledger has it."""

    booking_id: str
    title: str
    total_usd: float
    status: str
    key: str


class Cancelled(BaseModel):
    """A cancelled booking."""

    booking_id: str
    status: str


class LookedUp(BaseModel):
    """What became of a deduplication key."""

    found: bool
    booking: Booking | None


_key: TypeAdapter[str] = TypeAdapter(Key)


def coming(day: date, field: str) -> date:
    """A day that can be travelled on.

    Raises:
        Refused: it is past, or more than two years ahead; the message names the field.
    """
    today = datetime.now(UTC).date()
    if day < today:
        raise Refused(f"{field}: {day} is past; today is {today}")
    if (day - today).days > FARTHEST_DAYS:
        raise Refused(f"{field}: {day} is more than {FARTHEST_DAYS} days ahead")
    return day


def city_name(text: str, field: str = "city") -> str:
    """A city's name as it stands in offers and their ids, which `_` divides.

    Raises:
        Refused: nothing is left of it.
    """
    name = " ".join(text.replace("_", " ").split())
    if not any(each.isalnum() for each in name):
        raise Refused(f"{field}: {text[:20]!r} is no name of a city")
    return name


def dice(*what: Any) -> random.Random:
    """Dice for synthetic data: the same for the same words, in every process."""
    seed = hashlib.sha256("|".join(map(str, what)).encode()).digest()
    return random.Random(int.from_bytes(seed[:8], "big"))  # noqa: S311 - synthetic data, no secret


def key_of(context: Context[Any, Any]) -> str | None:
    """The deduplication key of the request, None if it brings none.

    Raises:
        Refused: it is no text of 1 to 300 characters. Cut off, it might be another booking's key.
    """
    meta = context.request_context.meta
    key = dict(meta).get(KEY_META) if meta else None
    if key is None:
        return None
    try:
        return _key.validate_python(key, strict=True)
    except ValidationError as error:
        raise Refused(f"{KEY_META}: {error.errors()[0]['msg']}") from None


class Desk:
    """Books into the ledger, and gives a server its `cancel` and `lookup` tools."""

    def __init__(self, server: MCPServer, kind: str, ledger: Ledger) -> None:
        self._kind, self._ledger = kind, ledger
        server.tool(annotations=CANCELS)(self.cancel)
        server.tool(annotations=READ)(self.lookup)

    def book(
        self, context: Context[Any, Any], arguments: Mapping[str, Any], offer: Callable[[], tuple[str, float]]
    ) -> Booking:
        """Book once a key.

        A known key is answered before `offer` looks at anything: what was booked stays booked, though its day be past.

        Args:
            context: of the request, with the key.
            arguments: what was asked.
            offer: title and price of what is to be booked; raises Refused where there is no such offer.
        """
        key = key_of(context)
        known = self._ledger.booked(self._kind, key, arguments) if key else None
        if known is None:
            title, total_usd = offer()
            booking = {"title": title, "total_usd": round(total_usd, 2)}
            known = self._ledger.book(self._kind, key, arguments, booking)
        return Booking.model_validate(known)

    def cancel(self, booking_id: Text) -> Cancelled:
        """Cancel a booking; cancelling it again is the same."""
        return Cancelled(booking_id=booking_id, status=self._ledger.cancel(self._kind, booking_id))

    def lookup(self, key: Key) -> LookedUp:
        """What became of a deduplication key."""
        known = self._ledger.lookup(self._kind, key)
        return LookedUp(found=known is not None, booking=Booking.model_validate(known) if known else None)
