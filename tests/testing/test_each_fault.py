"""Each fault through the real client: what it says, that nobody else suffers, and that it works afterwards."""

import asyncio
import time
import tracemalloc

import pytest

from tests.tools_client.stage import ALL, call, servers, until
from tools.outcome import OutcomeUnknown, Rejected, ToolFailure, Unavailable
from tools.testing import (
    Delay,
    DropAnswer,
    Duplicate,
    DuplicateAnswer,
    FaultServer,
    HalfOpen,
    Malformed,
    Oversized,
    Reset,
    Restart,
    ServerError,
    TooManyRequests,
    WrongSchema,
)
from tools.testing.faults import AnyFault

OTHERS = 8
SILENT = (HalfOpen, Delay)
FAILING: list[tuple[AnyFault, type[ToolFailure], str, int]] = [
    (DropAnswer(), OutcomeUnknown, "disconnected without sending a response", 1),
    (TooManyRequests(7), Unavailable, "HTTP 429", 0),
    (ServerError(), OutcomeUnknown, "HTTP 500", 0),
    (ServerError(after_effect=True, status=502), OutcomeUnknown, "HTTP 502", 1),
    (ServerError(status=503), OutcomeUnknown, "HTTP 503", 0),
    (ServerError(status=503, retry_after_s=7), Unavailable, "HTTP 503", 0),
    (Reset(), OutcomeUnknown, "ReadError", 0),
    (Reset(after_effect=True), OutcomeUnknown, "ReadError", 1),
    (HalfOpen(), OutcomeUnknown, "no answer within 1 s", 0),
    (HalfOpen(after_effect=True), OutcomeUnknown, "no answer within 1 s", 1),
    (Delay(seconds=60), OutcomeUnknown, "no answer within 1 s", 0),
    (Malformed(), OutcomeUnknown, "not JSON", 1),
    (WrongSchema(), OutcomeUnknown, "executed, but its answer does not fit its output schema", 1),
    (WrongSchema(mcp=True), OutcomeUnknown, "executed, but its result is not valid MCP", 1),
    (Oversized(), OutcomeUnknown, "more than 1,048,576 bytes", 1),
]


@pytest.mark.parametrize(("fault", "expected", "said", "effects"), FAILING, ids=lambda one: str(one)[:50])
async def test_a_fault_has_its_outcome_for_its_own_call_and_no_other(
    server: FaultServer, key: str, fault: AnyFault, expected: type[ToolFailure], said: str, effects: int
) -> None:
    server.fail("book", fault)
    server.fail("search", Delay(seconds=0.2), times=OTHERS)  # so that they are on their way when it happens
    async with servers({"f": server.entry()}) as tools:
        others = [asyncio.create_task(call(tools, "f.search", item=f"{n}")) for n in range(OTHERS)]
        with pytest.raises(expected, match=said) as caught:
            await call(tools, "f.book", key=key, timeout_s=1 if isinstance(fault, SILENT) else 60, item="bed")
        assert [one["found"] for one in await asyncio.gather(*others)] == [f"{n}-1" for n in range(OTHERS)]
        assert getattr(caught.value, "retry_after_s", None) == getattr(fault, "retry_after_s", None)
        await until(lambda: len(server.ledger.effects("book", key)) == effects, "what was to happen has happened", 60)

        assert await call(tools, "f.book", key=key, item="bed") == {"tool": "book", "item": "bed", "key": key}
    assert len(server.ledger.effects("book", key)) == 1
    assert [one.fault for one in server.attempts("book") if one.key == key] == [type(fault).__name__, None]


@pytest.mark.parametrize(
    "fault", [Delay(seconds=0.1), Delay(after_effect=True, seconds=0.1), DuplicateAnswer()], ids=str
)
async def test_what_is_only_late_or_said_twice_is_an_answer(server: FaultServer, key: str, fault: AnyFault) -> None:
    server.fail("send", fault)
    async with servers({"f": server.entry()}) as tools:
        assert (await call(tools, "f.send", key=key, item="letter"))["key"] == key
        assert (await call(tools, "f.search", item="bed"))["found"] == "bed-1"
    assert len(server.ledger.effects("send", key)) == 1


async def test_a_call_that_something_on_the_way_repeats_is_one_effect_where_the_key_is_honoured(
    server: FaultServer, key: str
) -> None:
    server.fail("*", Duplicate(), times=2)
    async with servers({"f": server.entry()}) as tools:
        await call(tools, "f.book", key=key, item="bed")
        await call(tools, "f.send", key=key, item="letter")
    assert len(server.ledger.effects("book", key)) == 1
    assert len(server.ledger.effects("send", key)) == 2, "no client can do anything about it"
    assert ("send", key) in server.doubled()


@pytest.mark.parametrize("fault", [WrongSchema(), WrongSchema(mcp=True), Oversized()], ids=str)
async def test_a_broken_answer_of_a_tool_that_only_reads_is_a_no(server: FaultServer, fault: AnyFault) -> None:
    server.fail("search", fault)
    async with servers({"f": server.entry()}) as tools:
        with pytest.raises(Rejected):
            await call(tools, "f.search", item="bed")
        assert (await call(tools, "f.search", item="bed"))["found"] == "bed-1"


async def test_fifty_megabytes_do_not_fill_the_memory(server: FaultServer) -> None:
    server.fail("search", Oversized(50), times=4)
    async with servers({"f": server.entry()}, answer_bytes=1_000_000) as tools:
        await tools.find("f.search", ALL)
        tracemalloc.start()
        try:
            for _ in range(4):
                with pytest.raises(Rejected, match="more than 1,000,000 bytes"):
                    await call(tools, "f.search", timeout_s=60, item="bed")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 25_000_000


async def test_half_open_connections_do_not_pile_up(server: FaultServer) -> None:
    """More calls than the client has connections end silently; the slots are free again."""
    server.fail("search", HalfOpen(), times=30)
    async with servers({"f": server.entry(concurrency=4)}) as tools:
        await tools.find("f.search", ALL)
        begun = time.monotonic()
        calls = [call(tools, "f.search", timeout_s=0.5, item="bed") for _ in range(30)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in ended} <= {OutcomeUnknown, Unavailable}
        assert time.monotonic() - begun < 60
        server.heal()
        assert (await call(tools, "f.search", item="bed"))["found"] == "bed-1"


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_server_that_restarts_in_mid_call_is_unknown_and_works_again(
    server: FaultServer, key: str, after_effect: bool
) -> None:
    server.fail("book", Restart(after_effect))
    server.fail("search", HalfOpen())
    async with servers({"f": server.entry()}) as tools:
        before = len(server.attempts("search"))
        other = asyncio.create_task(call(tools, "f.search", item="bed"))
        await until(lambda: len(server.attempts("search")) > before, "another call is on its way", 60)
        with pytest.raises(OutcomeUnknown):
            await call(tools, "f.book", key=key, item="bed")
        with pytest.raises(OutcomeUnknown):
            await other
        assert len(server.ledger.effects("book", key)) == after_effect
        async with asyncio.timeout(60):
            while True:
                try:
                    await call(tools, "f.book", key=key, item="bed")
                    break
                except (Unavailable, OutcomeUnknown):  # unknown: a connection that was accepted as the server died
                    await asyncio.sleep(0.05)
    assert len(server.ledger.effects("book", key)) == 1


async def test_a_fault_in_the_list_of_tools_is_unavailable_and_over_with_the_next(server: FaultServer) -> None:
    for fault in (Reset(), ServerError(), Malformed(), TooManyRequests(0)):
        server.fail("tools/list", fault)
        async with servers({"f": server.entry()}) as tools:
            with pytest.raises(Unavailable, match="cannot list its tools"):
                await call(tools, "f.search", item="bed")
            assert (await call(tools, "f.search", item="bed"))["found"] == "bed-1"
