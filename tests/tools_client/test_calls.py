"""Calls to real tool servers: what arrives, what comes back, and what is refused before anything is sent."""

import asyncio
import math
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tests.tools_client.stage import ALL, Desk, Raw, answer, call, result, servers, stdio, text, until
from tools.effects import Effect
from tools.outcome import CutOff, NeedsInput, OutcomeUnknown, Rejected, ToolFailure, Unavailable
from tools.way import Said


async def test_a_structured_answer_and_the_effect_that_a_trusted_server_hints(desk: Desk) -> None:
    async with servers({"desk": desk.entry(trust=True)}) as tools:
        assert await call(tools, "desk.add", a=2, b=3) == {"total": 5}
        assert (await tools.find("desk.add", ALL)).effect is Effect.READ
        assert (await tools.find("desk.meta", ALL)).effect is Effect.IDEMPOTENT
        assert (await tools.find("desk.pay", ALL)).effect is Effect.UNSAFE


async def test_hints_count_only_if_trusted_and_the_configuration_wins_over_them(desk: Desk) -> None:
    async with servers({"desk": desk.entry(effects={"s*": "keyed"})}) as tools:
        assert (await tools.find("desk.add", ALL)).effect is Effect.UNSAFE
        assert (await tools.find("desk.slow", ALL)).effect is Effect.KEYED
    async with servers({"desk": desk.entry(trust=True, effects={"add": "unsafe"})}) as tools:
        assert (await tools.find("desk.add", ALL)).effect is Effect.UNSAFE


async def test_what_the_configuration_says_of_a_tool_is_on_it(desk: Desk) -> None:
    extras = {"price_usd": {"p*": 0.25, "*": 0.001}, "timeout_s": 7, "lookup": {"pay": "meta"}}
    async with servers({"desk": desk.entry(**extras)}) as tools:
        pay, add = await tools.find("desk.pay", ALL), await tools.find("desk.add", ALL)
        assert (pay.price_micro_usd, add.price_micro_usd) == (250_000, 1_000)
        assert (pay.timeout_s, pay.lookup, add.lookup) == (7, "desk.meta", None)
        assert pay.digest != add.digest
        assert len(await tools.tools()) > 5


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_key_and_one_trace_context_arrive_in_meta(desk: Desk, way: str) -> None:
    config = desk.entry() if way == "http" else stdio(desk.log)
    tracer = TracerProvider().get_tracer("test")
    async with servers({"desk": config}) as tools:
        await call(tools, "desk.add", a=1, b=1)  # the connection is made outside of the trace
        with tracer.start_as_current_span("step") as span:
            came = await call(tools, "desk.meta", key="job.step:1")
        assert came["io.surefoot/idempotency-key"] == "job.step:1"
        assert trace.format_trace_id(span.get_span_context().trace_id) in came["traceparent"]


async def test_the_key_also_arrives_as_the_argument_that_the_server_wants(desk: Desk) -> None:
    async with servers({"desk": desk.entry(key={"argument": "idempotency_key"})}) as tools:
        assert await call(tools, "desk.pay", key="j.s:1", amount=5) == {"amount": 5, "key": "j.s:1"}
        assert await call(tools, "desk.add", a=1, b=1) == {"total": 2}  # has no such argument, gets none
        assert "idempotency_key" not in (await tools.find("desk.pay", ALL)).input_schema["properties"]


@pytest.mark.parametrize(("argument", "lookup"), [("key", "find"), ("idempotency_key", "find_paid")])
async def test_a_look_up_is_asked_about_another_calls_key_and_not_its_own(
    desk: Desk, argument: str, lookup: str
) -> None:
    async with servers({"desk": desk.entry(key={"argument": argument}, lookup={"pay": lookup})}) as tools:
        tool = await tools.find(f"desk.{lookup}", ALL)
        assert await tool.call({tool.about: "j.s:1"}, key="its own", timeout_s=10) == {"result": "j.s:1"}


async def test_the_key_also_arrives_as_a_header() -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        await answer(writer, text(asked, headers["idempotency-key"]))

    async with Raw(reply).serving(key={"header": "Idempotency-Key"}) as tools:
        assert await asyncio.gather(*(call(tools, "raw.act", key=f"k{n}") for n in range(5))) == [
            f"k{n}" for n in range(5)
        ]


async def test_wrong_arguments_and_tools_that_are_not_allowed_are_refused_unsent(desk: Desk) -> None:
    async with servers({"desk": desk.entry()}) as tools:
        wrongs: list[tuple[dict[str, Any], str]] = [
            ({"a": "two", "b": 3}, r'a: "two" is not of type "integer"'),
            ({"a": 1}, r'"b" is a required property'),
            ({"a": 1, "b": [2]}, "b: "),
        ]
        for wrong, said in wrongs:
            with pytest.raises(Rejected, match=said):
                await call(tools, "desk.add", **wrong)
        with pytest.raises(Rejected, match="not in this specialist's tools: other"):
            await tools.find("desk.add", ["other.*"])
        with pytest.raises(Rejected, match="no such tool; it has add"):
            await tools.find("desk.nothing", ALL)
        with pytest.raises(Rejected, match="no tool server 'x'; configured: desk"):
            await tools.find("x.add", ALL)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, "\ud800", {1, 2}, object()], ids=["nan", "infinity", "surrogate", "set", "object"]
)
async def test_what_json_cannot_carry_is_refused_and_harms_no_other_call(desk: Desk, value: Any) -> None:
    async with servers({"desk": desk.entry()}) as tools:
        slow = await tools.find("desk.slow", ALL)
        other = asyncio.create_task(slow.call({"seconds": 0.2}, key="k", timeout_s=10))
        with pytest.raises(Rejected, match="not JSON"):
            await slow.call({"seconds": value}, key="k", timeout_s=10)
        assert await other == {"result": "late"}


async def test_a_crash_in_a_tool_is_a_no_that_tells_nothing_secret(desk: Desk) -> None:
    async with servers({"desk": desk.entry()}) as tools:
        with pytest.raises(Rejected) as caught:
            await call(tools, "desk.crash")
        assert "secret" not in str(caught.value)
        assert caught.value.tool == "desk.crash"


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_a_slow_tool_is_unknown_on_time_is_cancelled_and_harms_no_other_call(desk: Desk, way: str) -> None:
    config = desk.entry(concurrency=32) if way == "http" else stdio(desk.log, concurrency=32)
    name = f"timeout-{way}"
    async with servers({"desk": config}) as tools:
        await call(tools, "desk.add", a=1, b=1)
        others = [asyncio.create_task(call(tools, "desk.add", a=n, b=1)) for n in range(20)]
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.5 s"):
            await call(tools, "desk.slow", seconds=60, name=name, timeout_s=0.5)
        assert time.monotonic() - begun < 30
        assert [one["total"] for one in await asyncio.gather(*others)] == list(range(1, 21))
        await until(lambda: f"cancelled {name}" in desk.lines(), "the tool is cancelled")


async def test_the_server_s_own_time_limit_holds_under_a_longer_one(desk: Desk) -> None:
    async with servers({"desk": desk.entry(timeout_s=3)}) as tools:  # connecting is within the limit
        with pytest.raises(OutcomeUnknown, match="within 3 s"):
            await call(tools, "desk.slow", seconds=60, timeout_s=100)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_cancelling_the_caller_once_or_twice_cancels_the_tool(desk: Desk, way: str, times: int) -> None:
    config = desk.entry() if way == "http" else stdio(desk.log)
    name = f"caller-{way}-{times}"
    async with servers({"desk": config}) as tools:
        calling = asyncio.create_task(call(tools, "desk.slow", seconds=60, name=name))
        await until(lambda: f"started {name}" in desk.lines(), "the tool runs")
        for _ in range(times):
            calling.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await calling
        await until(lambda: f"cancelled {name}" in desk.lines(), "the tool is cancelled")
        assert await call(tools, "desk.add", a=1, b=1) == {"total": 2}


async def test_no_more_calls_run_at_once_than_configured_and_who_waits_too_long_was_not_sent(desk: Desk) -> None:
    async with servers({"desk": desk.entry(concurrency=2)}) as tools:
        names = [f"slot-{number}" for number in range(2)]
        running = [asyncio.create_task(call(tools, "desk.slow", seconds=60, name=name)) for name in names]
        await until(lambda: {f"started {name}" for name in names} <= set(desk.lines()), "both slots are taken")
        with pytest.raises(Unavailable, match="not free within"):
            await call(tools, "desk.slow", seconds=0, name="slot-none", timeout_s=0.3)
        running[0].cancel()
        assert await call(tools, "desk.add", a=1, b=1) == {"total": 2}
        running[1].cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert "started slot-none" not in desk.lines()


async def test_a_call_whose_step_was_lost_while_it_waited_for_its_turn_is_not_sent(desk: Desk) -> None:
    held = True
    async with servers({"desk": desk.entry(concurrency=1)}) as tools:
        slow = await tools.find("desk.slow", ALL)
        first = asyncio.create_task(call(tools, "desk.slow", seconds=60, name="turn-1"))
        await until(lambda: "started turn-1" in desk.lines(), "the only slot is taken")
        late = slow.call({"seconds": 0, "name": "turn-2"}, key="k2", timeout_s=30, ours=lambda: held)
        waiting = asyncio.create_task(late)
        await asyncio.sleep(0)
        held = False
        first.cancel()
        with pytest.raises(Unavailable, match="the lease may have run out before it was sent: not sent"):
            await waiting
        assert await call(tools, "desk.add", a=1, b=1) == {"total": 2}
        assert "started turn-2" not in desk.lines()


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("size", [20_000, 5_000_000])
async def test_an_answer_that_is_too_large_is_cut_off_and_harms_no_other_call(desk: Desk, way: str, size: int) -> None:
    config = desk.entry() if way == "http" else stdio(desk.log)
    async with servers({"desk": config}, answer_bytes=10_000) as tools:
        other = asyncio.create_task(call(tools, "desk.slow", seconds=0.3))
        with pytest.raises(
            OutcomeUnknown,
            match=r"was executed, but .*more than 10,000 bytes|more than 10,000 \(SUREFOOT_ANSWER_BYTES\)",
        ):
            await call(tools, "desk.large", size=size)
        assert await other == {"result": "late"}
        assert len((await call(tools, "desk.large", size=9_000))["result"]) == 9_000


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_one_call_may_bring_less_than_others(desk: Desk, way: str) -> None:
    config = desk.entry() if way == "http" else stdio(desk.log)
    async with servers({"desk": config}) as tools:
        tool = await tools.find("desk.large", ALL)
        for size in (9_000, 900_000):
            with pytest.raises(CutOff, match="was executed, but its answer has more than 5,000 bytes"):
                await tool.call({"size": size}, key="k", timeout_s=10, most_bytes=5_000)
        assert len((await tool.call({"size": 4_000}, key="k", timeout_s=10, most_bytes=5_000))["result"]) == 4_000
        assert len((await call(tools, "desk.large", size=900_000))["result"]) == 900_000


@pytest.mark.parametrize(
    ("effect", "expected"), [("read", Rejected), ("keyed", OutcomeUnknown), ("unsafe", OutcomeUnknown)]
)
async def test_an_answer_that_does_not_fit_its_schema_is_a_no_only_of_a_tool_that_reads(
    effect: str, expected: type[ToolFailure]
) -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        said = asked["params"]["arguments"].get("said")
        await answer(writer, result(asked, {"content": [], "structuredContent": said, "resultType": "complete"}))

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tools_listed = [{"name": "act", "inputSchema": {"type": "object"}, "outputSchema": schema}]
    async with Raw(reply, tools_listed).serving(effects={"act": effect}) as tools:
        assert await call(tools, "raw.act", said={"n": 1}) == {"n": 1}
        with pytest.raises(expected, match=r"was executed, but .* n: .*integer"):
            await call(tools, "raw.act", said={"n": "one"})
        with pytest.raises(expected, match="was executed, but"):
            await call(tools, "raw.act", said=None)


@pytest.mark.parametrize("said", [{}, {"content": "text"}, {"content": [{"type": "none"}]}, {"content": None}, [], 1])
async def test_a_result_that_is_no_result_ends_one_call_only(said: Any) -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        await answer(writer, text(asked) if asked["params"]["arguments"] else result(asked, said))

    async with Raw(reply).serving() as tools:
        with pytest.raises((Rejected, OutcomeUnknown)):
            await call(tools, "raw.act", timeout_s=2)
        assert await call(tools, "raw.act", fine=True) == "done"


async def test_mixed_content_comes_as_a_list_and_several_texts_as_lines() -> None:
    async def reply(asked: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        content = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
        if asked["params"]["arguments"]:
            content.append({"type": "image", "data": "AAAA", "mimeType": "image/png"})
        await answer(writer, result(asked, {"content": content, "resultType": "complete"}))

    async with Raw(reply).serving() as tools:
        assert await call(tools, "raw.act") == "one\ntwo"
        assert [part["type"] for part in await call(tools, "raw.act", image=True)] == ["text", "text", "image"]


@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_a_tool_that_asks_is_gone_on_with_from_another_client(desk: Desk, way: str) -> None:
    config = desk.entry() if way == "http" else stdio(desk.log)
    async with servers({"desk": config}) as tools:
        with pytest.raises(NeedsInput) as caught:
            await call(tools, "desk.weather", key="k:1")
    (question,) = caught.value.questions
    assert question["message"] == "Which city?"
    assert question["schema"]["properties"]["city"]["type"] == "string"
    assert caught.value.request_state
    async with servers({"desk": config}) as tools:
        weather = await tools.find("desk.weather", ALL)
        said = Said({question["key"]: {"city": "Vienna"}}, caught.value.request_state, "k:1")
        assert await weather.call({}, key="k:2", timeout_s=10, said=said) == {"city": "Vienna"}
        for no, action in (False, "decline"), (None, "cancel"):
            with pytest.raises(Rejected, match=action):
                await weather.call({}, key="k:3", timeout_s=10, said=replace(said, answers={question["key"]: no}))


async def test_a_foreign_server_over_stdio() -> None:
    async with servers({"time": {"command": sys.executable, "args": ["-m", "mcp_server_time"]}}) as tools:
        assert "timezone" in str(await call(tools, "time.get_current_time", timezone="Europe/Vienna"))
        with pytest.raises(Rejected, match="Nowhere"):
            await call(tools, "time.get_current_time", timezone="Nowhere/Land")
        with pytest.raises(Rejected, match="timezone"):
            await call(tools, "time.get_current_time")
