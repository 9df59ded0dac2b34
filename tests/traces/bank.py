"""Tools whose answers are lost: one of them has a look-up, the other one has none."""

from typing import Any

from tests.support.ledger import ledger
from tools.effects import Effect
from tools.local import tool
from tools.outcome import OutcomeUnknown


def _lost(name: str, item: str, key: str) -> None:
    ledger().execute("INSERT INTO attempt VALUES (?, ?, 0)", (key, item))
    ledger().execute("INSERT INTO effect VALUES (?, ?) ON CONFLICT DO NOTHING", (key, item))
    raise OutcomeUnknown(name, "the connection was lost")


@tool(effect=Effect.UNSAFE)
async def pay(item: str, key: str) -> dict[str, Any]:
    """Pay; nobody hears that it worked."""
    return _lost("bank.pay", item, key) or {}


@tool(effect=Effect.UNSAFE)
async def send(item: str, key: str) -> dict[str, Any]:
    """Send; nobody hears that it worked, and nobody can look it up."""
    return _lost("bank.send", item, key) or {}


@tool(effect=Effect.READ)
async def find_payment(key: str) -> dict[str, Any]:
    """Whether the payment of this key happened."""
    row = ledger().execute("SELECT item FROM effect WHERE key = ?", (key,)).fetchone()
    return {"found": row is not None, "result": {"paid": row and row[0]}}
