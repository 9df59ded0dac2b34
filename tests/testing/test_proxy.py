"""The proxy before servers that know nothing of it: it passes everything on, but for what is to go wrong."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools_client.stage import Desk, call, servers, until
from tests.tools_travel.serving import DAY, LATER, Served
from tools.outcome import OutcomeUnknown, Unavailable
from tools.testing import DropAnswer, FaultProxy, Reset
from tools.travel.ledger import Ledger

Before = Callable[[str], FaultProxy]


async def test_an_answer_lost_before_a_real_server_is_one_booking(tmp_path: Path, fault_proxy: Before) -> None:
    with Served.started("hotels", tmp_path) as served:
        proxy = fault_proxy(served.url)
        proxy.fail("book", DropAnswer())
        async with servers({"hotels": proxy.entry(effects={"book": "keyed"})}) as tools:
            found = await call(tools, "hotels.search", city="Denver", check_in=DAY, check_out=LATER)
            offer = found["offers"][0]["offer_id"]
            with pytest.raises(OutcomeUnknown):
                await call(tools, "hotels.book", key="k", offer_id=offer, guests=2)
            assert (await call(tools, "hotels.book", key="k", offer_id=offer, guests=2))["key"] == "k"
    assert Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}").count() == 1
    assert [(one.key, one.fault) for one in proxy.attempts("book")] == [("k", "DropAnswer"), ("k", None)]


async def test_each_protocol_passes_giving_up_reaches_the_server_and_its_death_is_unavailable(
    tmp_path: Path, fault_proxy: Before
) -> None:
    desk = Desk(tmp_path / "log").start()
    proxy = fault_proxy(f"http://127.0.0.1:{desk.port}/mcp")
    entries = {"new": proxy.entry(protocol="2026-07-28"), "old": proxy.entry(protocol="legacy")}
    try:
        async with servers(entries) as tools:
            for name in entries:
                assert await call(tools, f"{name}.add", a=1, b=2) == {"total": 3}
                proxy.fail("add", Reset())
                with pytest.raises(OutcomeUnknown):
                    await call(tools, f"{name}.add", a=1, b=2)
                assert await call(tools, f"{name}.add", a=1, b=2) == {"total": 3}
                slow = asyncio.create_task(call(tools, f"{name}.slow", seconds=60, name=name))
                await until(lambda line=f"started {name}": line in desk.lines(), "the call is under way", 60)
                slow.cancel()
                await asyncio.gather(slow, return_exceptions=True)
                await until(lambda line=f"cancelled {name}": line in desk.lines(), "the server has heard of it", 60)
            desk.kill()
            with pytest.raises(Unavailable, match="target unreachable") as caught:
                await call(tools, "new.add", a=1, b=2)
            assert caught.value.retry_after_s == 1
    finally:
        desk.kill()
