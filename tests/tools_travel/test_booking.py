"""Booking over HTTP: one effect a key, through repetition, crowds, kills and a full disk."""

import asyncio
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from tests.support.waiting import wait_until
from tests.tools_travel.serving import DAY, LATER, Said, Served, Travel, ask, call, connected
from tools.config import ToolConfig
from tools.outcome import Unavailable
from tools.servers import ToolServers
from tools.travel import hotels
from tools.travel.ledger import Ledger

pytestmark = pytest.mark.xdist_group("travel")
TABLE = {"restaurant_id": "R0_Denver", "date": DAY, "time": "19:00", "party": 2}


async def an_offer(url: str, server: str) -> tuple[str, dict[str, Any]]:
    """A tool that books, and arguments for it."""
    if server == "restaurants":
        return "reserve", TABLE
    async with connected(url) as client:
        if server == "flights":
            found = await call(client, "search", origin="NYC", destination="DEN", date=DAY)
            return "book", {"offer_id": found["offers"][0]["offer_id"], "passengers": 2}
        found = await call(client, "search", city="Denver", check_in=DAY, check_out=LATER)
        return "book", {"offer_id": found["offers"][0]["offer_id"], "guests": 2}


@pytest.mark.parametrize("server", ["flights", "hotels", "restaurants"])
async def test_booked_twice_under_one_key_is_booked_once(travel: Travel, server: str) -> None:
    tool, arguments = await an_offer(travel.urls[server], server)
    key, before = f"twice-{server}", Ledger(travel.ledger).count()
    async with connected(travel.urls[server]) as client:
        first = await call(client, tool, under=key, **arguments)
        assert await call(client, tool, under=key, **arguments) == first
        assert (first["status"], first["key"], first["total_usd"] > 0) == ("booked", key, True)
        assert Ledger(travel.ledger).count() == before + 1
        party = "party" if server == "restaurants" else "passengers" if server == "flights" else "guests"
        with pytest.raises(Said, match="used before with other arguments"):
            await call(client, tool, under=key, **{**arguments, party: 1})
        assert await call(client, "lookup", key=key) == {"found": True, "booking": first}
        assert await call(client, "lookup", key="nobody's") == {"found": False, "booking": None}
        for _ in range(2):
            cancelled = await call(client, "cancel", booking_id=first["booking_id"])
            assert cancelled == {"booking_id": first["booking_id"], "status": "cancelled"}
        assert (await call(client, "lookup", key=key))["booking"]["status"] == "cancelled"
    assert Ledger(travel.ledger).count() == before


async def test_fifty_at_once_under_one_key_are_one(travel: Travel) -> None:
    tool, arguments = await an_offer(travel.urls["hotels"], "hotels")
    before = Ledger(travel.ledger).count()
    async with connected(travel.urls["hotels"]) as client:
        answers = await asyncio.gather(*(call(client, tool, under="fifty", **arguments) for _ in range(50)))
    assert all(answer == answers[0] for answer in answers)
    assert Ledger(travel.ledger).count() == before + 1


async def test_without_a_key_each_call_books(travel: Travel) -> None:
    async with connected(travel.urls["restaurants"]) as client:
        booked = [await call(client, "reserve", **TABLE) for _ in range(2)]
    assert booked[0]["booking_id"] != booked[1]["booking_id"]


@pytest.mark.parametrize("key", ["", "k" * 301, 7, {"a": 1}, "two\nlines", "nul\x00"])
async def test_a_key_that_is_none_is_refused(travel: Travel, key: object) -> None:
    before = Ledger(travel.ledger).count()
    async with connected(travel.urls["restaurants"]) as client:
        with pytest.raises(Said, match="idempotency-key"):
            await call(client, "reserve", under=key, **TABLE)
    assert Ledger(travel.ledger).count() == before


async def test_keys_that_differ_only_at_the_end_are_two(travel: Travel) -> None:
    async with connected(travel.urls["restaurants"]) as client:
        booked = [await call(client, "reserve", under="k" * 299 + end, **TABLE) for end in "ab"]
    assert booked[0]["booking_id"] != booked[1]["booking_id"]


def test_what_was_booked_is_answered_even_when_it_could_not_be_booked_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day has come and gone between two attempts of one step."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    monkeypatch.setattr(hotels.desk, "_ledger", ledger)
    past = {"offer_id": "H0_Denver_2020-03-12_2020-03-14", "guests": 2}
    booked = ledger.book("hotel", "a", past, {"title": "then", "total_usd": 1.0})

    class Request:
        meta = {"io.surefoot/idempotency-key": "a"}  # noqa: RUF012

    class Asking:
        request_context = Request

    again = hotels.book(**past, context=Asking)  # type: ignore[arg-type]
    assert again.model_dump() == booked


async def test_servers_killed_in_the_middle_book_each_key_once(tmp_path: Path) -> None:
    ledger, keys = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), [f"kill-{n}" for n in range(24)]
    for round_ in range(2):
        with Served.started("restaurants", tmp_path) as served:
            under_way = asyncio.create_task(all_booked(served.url, keys))
            enough = 1 + 8 * round_
            await asyncio.to_thread(wait_until, lambda: ledger.count() >= enough, "some are booked", 30)  # noqa: B023
            served.process.kill()
            await under_way
    with Served.started("restaurants", tmp_path) as served:
        booked = await all_booked(served.url, keys)
    assert not [one for one in booked if isinstance(one, BaseException)]
    assert ledger.count() == len(keys)
    assert {one["key"] for one in booked} == set(keys)


async def all_booked(url: str, keys: list[str]) -> list[Any]:
    """One connection each: the SDK's client dies with its first failed request."""

    return await asyncio.gather(*(ask(url, "reserve", under=key, **TABLE) for key in keys), return_exceptions=True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the files of a running process")
async def test_a_full_disk_books_nothing_says_so_and_may_be_tried_again(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with Served.started("restaurants", tmp_path) as served:
        async with connected(served.url) as client:
            before = await call(client, "reserve", under="before", **TABLE)
            limits = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
            with pytest.raises(MCPError, match="nothing was booked") as refused:
                await call(client, "reserve", under="full", **TABLE)
            assert refused.value.data["maybe_executed"] is False
            assert ledger.lookup("table", "full") is None
            assert await call(client, "reserve", under="before", **TABLE) == before, "a replay writes nothing"
            await our_client_calls_it_unavailable(served.url)
            resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, limits)
            assert (await call(client, "reserve", under="full", **TABLE))["key"] == "full"
    assert ledger.count() == 2


async def our_client_calls_it_unavailable(url: str) -> None:
    config = {"mcpServers": {"restaurants": {"url": url, "surefoot": {"trust": True, "protocol": "2026-07-28"}}}}
    tools = ToolServers(ToolConfig.model_validate(config))
    try:
        tool = await tools.find("restaurants.reserve", ["*"])
        with pytest.raises(Unavailable) as unavailable:
            await tool.call(dict(TABLE), key="full", timeout_s=30)
        assert unavailable.value.retry_after_s == 1
    finally:
        await tools.close()
