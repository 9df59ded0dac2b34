"""The list of a server's tools: fetched once, anew after a while, and never a way to harm us."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool as ListedTool
from mcp.types import ToolAnnotations

from tests.tools_client.stage import ALL, Desk, Raw, answer, call, result, servers, stdio, text, until
from tools.__main__ import main
from tools.catalogue import MOST_PAGES, MOST_TOOLS, Catalogue, pages
from tools.config import Extras
from tools.effects import Effect
from tools.outcome import Rejected, Unavailable
from tools.tool import Signature, Tool, described, digest
from tools.way import Way

OPEN = {"type": "object"}


def tool(name: str, schema: dict[str, Any] | None = None, **listed: Any) -> Tool:
    signature = Signature(name, "", schema or OPEN, **listed)
    return described("s", signature, Extras.model_validate({}), Effect.READ, Nobody(), 1_048_576)


class Nobody:
    async def call(self, tool: Tool, arguments: dict[str, Any], way: Way) -> Any:
        raise NotImplementedError


class Listing:
    """What a server lists, changed by a test at will."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked, self.away = 0, False
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> list[Tool]:
        self.asked += 1
        await self.go_on.wait()
        if self.away:
            raise Unavailable("s", "away")
        return [tool(name) for name in self.names]


async def test_callers_at_the_same_time_share_one_question_and_its_answer_lasts() -> None:
    listing = Listing("a", "b")
    catalogue = Catalogue("s", listing, 300)
    found = await asyncio.gather(*(catalogue.tool("a") for _ in range(50)))
    assert {one.name for one in found} == {"s.a"}
    assert sorted(await catalogue.tools()) == ["a", "b"]
    assert listing.asked == 1


async def test_an_old_list_serves_while_the_new_one_is_fetched() -> None:
    listing = Listing("a")
    catalogue = Catalogue("s", listing, 300)
    await catalogue.tools()
    listing.names = ("a", "b")
    listing.go_on.clear()
    catalogue.expire()
    assert sorted(await catalogue.tools()) == ["a"]
    listing.go_on.set()
    await until(lambda: listing.asked == 2, "the list is fetched")
    assert sorted(await catalogue.tools()) == ["a", "b"]


async def test_a_list_that_is_older_than_twice_its_time_is_waited_for() -> None:
    listing = Listing("a")
    catalogue = Catalogue("s", listing, 0.0)
    await catalogue.tools()
    listing.names = ("b",)
    assert sorted(await catalogue.tools()) == ["b"]


async def test_while_the_server_is_away_the_old_list_serves_and_without_one_it_is_said() -> None:
    listing = Listing("a")
    catalogue = Catalogue("s", listing, 0.0)
    listing.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await catalogue.tools()
    listing.away = False
    await catalogue.tools()
    listing.away = True
    assert sorted(await catalogue.tools()) == ["a"]


async def test_a_tool_that_is_not_there_is_asked_for_again_only_when_the_list_is_not_young(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listing = Listing("a")
    catalogue = Catalogue("s", listing, 300)
    with pytest.raises(Rejected, match=r"s\.b: s has no such tool; it has a"):
        await catalogue.tool("b")
    assert listing.asked == 1
    monkeypatch.setattr("tools.catalogue.AGAIN_S", -1.0)
    listing.names = ("a", "b")
    assert (await catalogue.tool("b")).name == "s.b"
    assert listing.asked == 2


async def test_who_gives_up_does_not_stop_the_question_of_the_others() -> None:
    listing = Listing("a")
    listing.go_on.clear()
    catalogue = Catalogue("s", listing, 300)
    one, other = asyncio.create_task(catalogue.tools()), asyncio.create_task(catalogue.tools())
    await until(lambda: listing.asked, "the server is asked")
    one.cancel()
    listing.go_on.set()
    assert list(await other) == ["a"]
    assert listing.asked == 1


async def test_close_ends_the_question() -> None:
    listing = Listing("a")
    listing.go_on.clear()
    catalogue = Catalogue("s", listing, 300)
    asking = asyncio.create_task(catalogue.tools())
    await until(lambda: listing.asked, "the server is asked")
    await catalogue.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_pages_that_never_end_repeat_or_are_too_many_are_cut_off() -> None:
    asked = 0

    async def endless(cursor: str | None) -> tuple[list[int], str | None]:
        nonlocal asked
        asked += 1
        return [], f"{cursor}+"

    async def repeating(cursor: str | None) -> tuple[list[int], str | None]:
        return [1], "same"

    async def many(cursor: str | None) -> tuple[list[int], str | None]:
        return [1] * 900, f"{cursor}+"

    async def three(cursor: str | None) -> tuple[list[int], str | None]:
        return [int(cursor or 0)], {None: "1", "1": "2", "2": None}[cursor]

    assert await pages("s", endless) == []
    assert asked <= MOST_PAGES + 1
    assert await pages("s", repeating) == [1, 1]
    assert len(await pages("s", many)) == MOST_TOOLS
    assert await pages("s", three) == [0, 1, 2]


async def test_a_tool_with_a_schema_that_cannot_be_used_is_refused_alone() -> None:
    hostile = {"$ref": "http://127.0.0.1:9/schema"}
    for bad in (tool("bad", hostile), tool("bad", output_schema={"type": "nonsense"})):
        with pytest.raises(Rejected, match=r"s\.bad: its server gives it an (in|out)put schema that cannot be used"):
            bad.check({})
    tool("good").check({})


@pytest.mark.parametrize("listed", [{}, {"tools": 1}, {"tools": [{"name": 1}]}, {"tools": [{"name": "x"}]}])
async def test_a_list_that_is_none_is_a_definite_no(listed: dict[str, Any]) -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        await answer(writer, text(asked))

    raw = Raw(reply)
    raw.tools = listed.get("tools", 1)
    async with raw.serving() as tools:
        with pytest.raises(Rejected, match="raw: its list of tools is not valid MCP: tools"):
            await tools.find("raw.x", ALL)


async def test_a_server_that_says_its_tools_changed_is_asked_again(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log, protocol="legacy")}) as tools:
        assert "desk.grown" not in {one.name for one in await tools.tools()}
        await call(tools, "desk.grow")

        async def grown() -> bool:
            return "desk.grown" in {one.name for one in await tools.tools()}

        async with asyncio.timeout(10):
            while not await grown():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.01)


async def test_a_call_that_no_longer_fits_the_list_was_not_executed_and_the_list_is_asked_for_again() -> None:
    mismatch = {"code": -32020, "message": "Mcp-Param-City is missing"}

    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        if raw.asked.count("tools/list") > 1:
            await answer(writer, text(asked))
        else:
            await answer(writer, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": mismatch}).encode(), 400)

    raw = Raw(reply)
    async with raw.serving() as tools:
        with pytest.raises(Unavailable, match="Mcp-Param-City"):
            await call(tools, "raw.act")
        await tools.tools()
        await until(lambda: raw.asked.count("tools/list") > 1, "the list is asked for again")
        assert await call(tools, "raw.act") == "done"


async def test_a_call_after_a_reconnect_asks_for_no_list_by_itself() -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        await answer(writer, result(asked, {"content": [], "structuredContent": {"n": 1}, "resultType": "complete"}))

    raw = Raw(reply, [{"name": "act", "inputSchema": OPEN, "outputSchema": OPEN}])
    async with raw.serving() as tools:
        for _ in range(3):
            assert await call(tools, "raw.act") == {"n": 1}
    assert raw.asked == ["tools/list", *["tools/call"] * 3]


async def test_tools_whose_digests_an_operator_wrote_down_stay_what_they_are(desk: Desk) -> None:
    async with servers({"desk": desk.entry()}) as tools:
        known = {name: (await tools.find(f"desk.{name}", ALL)).digest for name in ("add", "pay")}
    async with servers({"desk": desk.entry(digests=known | {"pay": "0" * 16})}) as tools:
        assert await call(tools, "desk.add", a=2, b=3) == {"total": 5}
        with pytest.raises(
            Rejected, match=f'its digest is {known["pay"]}, and mcp.json has {"0" * 16} under "digests"'
        ):
            await call(tools, "desk.pay", amount=5, idempotency_key="k")
        with pytest.raises(
            Rejected, match=r"desk\.slow: mcp\.json has .digests. of its server's tools, and none of this"
        ):
            await call(tools, "desk.slow", seconds=0)
        assert [tool.name for tool in await tools.allowed(ALL)] == ["desk.add", "desk.pay"]


def test_the_digests_are_printed_as_mcp_json_takes_them(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"desk": desk.entry()}}))
    monkeypatch.setattr("sys.argv", ["tools", "--config", str(config), "--digests"])
    assert main() == 0
    block = json.loads(capsys.readouterr().out)["desk"]
    assert Extras.model_validate(block).digests.keys() >= {"add", "pay"}


def test_a_rule_for_tools_that_there_are_not_is_named(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mcp.json"
    good = {"effects": {"a*": "read"}, "lookup": {"pay": "meta"}, "price_usd": {"*": 0}, "approve": {"p?y": "always"}}
    bad = {
        "effects": {"ad": "read", "add": "read"},
        "lookup": {"pays": "finds"},
        "price_usd": {"x*": 1},
        "digests": {"gone": "0" * 16},
        "approve": {"wyre_*": "copied", "*": "copied"},
    }
    for block, code in ((good, 0), (bad, 1)):
        config.write_text(json.dumps({"mcpServers": {"desk": {**desk.entry(), "surefoot": block}}}))
        monkeypatch.setattr("sys.argv", ["tools", "--config", str(config)])
        assert main() == code
        out, err = capsys.readouterr()
        assert "desk.add" in out
        assert re.findall(r"server 'desk': (\w+ '[^']*')", err) == (
            ["effects 'ad'", "lookup 'pays'", "price_usd 'x*'", "digests 'gone'", "approve 'wyre_*'", "lookup 'finds'"]
            if code
            else []
        )


def test_a_digest_is_of_all_that_somebody_may_rely_on() -> None:
    same = Signature("a", "words", OPEN)
    hints = [ToolAnnotations(read_only_hint=True), ToolAnnotations(read_only_hint=False), ToolAnnotations()]
    others = [
        *(replace(same, name="b"), replace(same, description="Words"), replace(same, description=None)),
        *(replace(same, input_schema={"type": "object", "title": "x"}), replace(same, output_schema=OPEN)),
        *(ListedTool(name="a", description="words", input_schema=OPEN, annotations=each) for each in hints),
    ]
    digests = [digest(each) for each in (same, *others)]
    assert len(set(digests)) == len(digests)
    assert digest(Signature("a", "words", {"type": "object"})) == digests[0]
