"""Tools that are functions of this process."""

import asyncio
import sys
import timeit
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.tools_client.stage import ALL, call, servers
from tools.effects import Effect
from tools.local import tool
from tools.outcome import CutOff, NeedsInput, OutcomeUnknown, Rejected, Unavailable

HERE = {"here": {"module": __name__}}


@tool(effect=Effect.KEYED)
async def book(item: str, day: date, key: str, seats: int = 1) -> dict[str, Any]:
    """Book it."""
    await asyncio.sleep(0)
    return {"item": item, "next": date.fromordinal(day.toordinal() + 1), "seats": seats, "key": key}


@tool()
def echo(said: Any) -> Any:
    """Say it again."""
    return said


@tool(effect=Effect.READ)
async def fail(how: str) -> None:
    """Fail in the way that is asked for."""
    if how == "slow":
        await asyncio.sleep(60)
    raise {
        "value": ValueError("no"),
        "bug": KeyError("bug"),
        "down": Unavailable("here.fail", "down", 2.0),
        "asks": NeedsInput("here.fail", [], None),
        "timeout": TimeoutError("its own"),
    }[how]


async def test_arguments_come_as_declared_the_key_is_given_and_the_answer_is_plain_json() -> None:
    async with servers(HERE) as tools:
        said = await call(tools, "here.book", key="j.s:1", item="bed", day="2027-03-12")
        assert said == {"item": "bed", "next": "2027-03-13", "seats": 1, "key": "j.s:1"}
        booking = await tools.find("here.book", ALL)
        assert (booking.effect, booking.description) == (Effect.KEYED, "Book it.")
        assert "key" not in booking.input_schema["properties"]


async def test_the_configuration_s_globs_hold_here_too() -> None:
    extras = {"effects": {"b*": "unsafe"}, "price_usd": {"*": 0.5}, "timeout_s": 3, "lookup": {"book": "echo"}}
    async with servers({"here": {"module": __name__, "surefoot": extras}}) as tools:
        booking = await tools.find("here.book", ALL)
        assert booking.effect is Effect.UNSAFE
        assert (booking.price_micro_usd, booking.timeout_s, booking.lookup) == (500_000, 3, "here.echo")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"item": "bed"}, '"day" is a required property'),
        ({"item": 1, "day": "2027-03-12"}, "item: "),
        ({"item": "bed", "day": "2027-03-12", "key": "mine"}, "'key' was unexpected"),
        ({"item": "bed", "day": "someday"}, "day: "),
    ],
)
async def test_wrong_arguments_are_refused(arguments: dict[str, Any], said: str) -> None:
    async with servers(HERE) as tools:
        with pytest.raises(Rejected, match=rf"here\.book: invalid arguments: .*{said}"):
            booking = await tools.find("here.book", ALL)
            booking.check(arguments)
            await booking.call(arguments, key="k", timeout_s=1)


@pytest.mark.parametrize(
    ("how", "expected", "said"),
    [
        ("value", Rejected, "ValueError: no"),
        ("bug", Rejected, "KeyError"),
        ("down", Unavailable, "down"),
        ("asks", Rejected, "NeedsInput"),
        ("timeout", Rejected, "its own"),
        ("slow", OutcomeUnknown, r"no answer within 0\.1 s"),
    ],
)
async def test_what_a_function_raises_is_its_outcome(how: str, expected: type[Exception], said: str) -> None:
    async with servers(HERE) as tools:
        with pytest.raises(expected, match=said):
            await call(tools, "here.fail", how=how, timeout_s=0.1)


async def test_an_answer_that_is_no_json_or_too_large_is_no_answer() -> None:
    async with servers(HERE, answer_bytes=1_000) as tools:
        with pytest.raises(OutcomeUnknown, match=r"was executed, but its answer has 2,002 bytes, more than 1,000"):
            await call(tools, "here.echo", said="x" * 2_000)
        echo = await tools.find("here.echo", ALL)
        with pytest.raises(CutOff, match=r"was executed, but its answer has more than 100 bytes"):
            await echo.call({"said": "x" * 99}, key="k", timeout_s=1, most_bytes=100)
        assert await echo.call({"said": "x" * 98}, key="k", timeout_s=1, most_bytes=100) == "x" * 98
        with pytest.raises(OutcomeUnknown, match="was executed, but its answer is not JSON"):
            await (await tools.find("here.echo", ALL)).call({"said": object()}, key="k", timeout_s=1)


async def test_a_module_or_a_tool_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_tools.py").write_text("1 / 0")
    entries = {"none": {"module": "no_such_module_here"}, "broken": {"module": "broken_tools"}, **HERE}
    async with servers(entries) as tools:
        with pytest.raises(Rejected, match="cannot import 'no_such_module_here'"):
            await tools.find("none.act", ALL)
        with pytest.raises(Rejected, match="cannot import 'broken_tools': ZeroDivisionError"):
            await tools.find("broken.act", ALL)
        with pytest.raises(Rejected, match="has no such tool; it has book, echo, fail"):
            await tools.find("here.act", ALL)
    assert "broken_tools" not in sys.modules


def test_parameters_that_cannot_be_named_are_refused_where_they_are_written() -> None:
    with pytest.raises(TypeError, match="parameter rest cannot be given by name"):

        @tool()
        def some(*rest: int) -> None:
            """Take anything."""


async def test_a_call_is_cheap() -> None:
    async with servers(HERE) as tools:
        echoing = await tools.find("here.echo", ALL)

        async def many(times: int) -> None:
            for _ in range(times):
                echoing.check({"said": "x"})
                await echoing.call({"said": "x"}, key="k", timeout_s=1)

        await many(100)
        begun = timeit.default_timer()
        await many(2_000)
        assert (timeit.default_timer() - begun) / 2_000 < 0.000_3, (
            "the target is 30 us; a loaded machine gets ten times that"
        )
