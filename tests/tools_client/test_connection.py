"""Tool servers that die, hang, come back, and end with us."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools_client.stage import ALL, Desk, alive, call, offspring, servers, stdio, until
from tools.outcome import OutcomeUnknown, Unavailable
from tools.servers import ToolServers


def python(source: str, *arguments: str, **extras: Any) -> dict[str, Any]:
    """A stdio server that is a few lines."""
    return {"command": sys.executable, "args": ["-c", source, *arguments], "surefoot": extras}


async def outcomes(calls: list[asyncio.Task[Any]]) -> list[type]:
    return [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)]


async def patiently(tools: ToolServers, name: str, **arguments: Any) -> Any:
    """A call that comes back when it is told to, as a step does."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call(tools, name, **arguments)
            except Unavailable as error:
                await asyncio.sleep(error.retry_after_s or 0)


@pytest.mark.parametrize("protocol", ["2026-07-28", "auto", "legacy"])
async def test_a_server_killed_in_mid_call_is_unknown_then_unavailable_then_back(mortal: Desk, protocol: str) -> None:
    async with servers({"desk": mortal.entry(protocol=protocol)}) as tools:
        calls = [asyncio.create_task(call(tools, "desk.slow", seconds=60, name=str(n))) for n in range(5)]
        await until(lambda: len(mortal.lines()) == 5, "all calls run")
        mortal.kill()
        assert await outcomes(calls) == [OutcomeUnknown] * 5
        with pytest.raises(Unavailable):
            await call(tools, "desk.add", a=1, b=1)
        mortal.start()

        assert await patiently(tools, "desk.add", a=1, b=1) == {"total": 2}


async def test_a_server_over_stdio_killed_in_mid_call_is_unknown_and_the_next_call_starts_it_anew(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log)}) as tools:
        first = (await call(tools, "desk.pid"))["result"]
        calls = [asyncio.create_task(call(tools, "desk.slow", seconds=60, name=f"stdio-{n}")) for n in range(5)]
        await until(lambda: "started stdio-4" in desk.lines(), "all calls run")
        os.kill(first, signal.SIGKILL)
        assert await outcomes(calls) == [OutcomeUnknown] * 5
        second = (await call(tools, "desk.pid"))["result"]
        assert second != first
    assert not alive(second)


async def test_a_server_over_stdio_that_died_while_idle_costs_no_call(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log)}) as tools:
        first = (await call(tools, "desk.pid"))["result"]
        before = asyncio.all_tasks()
        os.kill(first, signal.SIGKILL)
        await until(lambda: asyncio.all_tasks() < before, "the client is left")
        assert await call(tools, "desk.add", a=1, b=2) == {"total": 3}


async def test_a_server_that_dies_again_and_again_is_left_alone_for_longer_and_longer(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log)}) as tools:
        pauses: list[float] = []
        async with asyncio.timeout(30):
            while len(pauses) < 3:
                try:
                    await call(tools, "desk.die")
                except OutcomeUnknown:
                    continue
                except Unavailable as error:
                    pauses.append(error.retry_after_s or 0)
                    await asyncio.sleep(pauses[-1])
        assert pauses[0] < 0.3
        assert pauses[0] < pauses[1] < pauses[2]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"command": "no-such-program-anywhere"}, "no-such-program-anywhere"),
        ({"command": sys.executable, "args": ["-c", "raise SystemExit(3)"]}, "closed"),
        ({"command": sys.executable, "args": ["-c", "pass"], "cwd": "/no/such/folder"}, "/no/such/folder"),
    ],
)
async def test_a_server_that_cannot_be_started_is_unavailable_and_says_why(entry: dict[str, Any], said: str) -> None:
    async with servers({"broken": entry}) as tools:
        with pytest.raises(Unavailable, match=f"broken: cannot connect: .*{said}"):
            await tools.find("broken.act", ALL)
        with pytest.raises(Unavailable, match="broken: cannot connect"):
            await tools.find("broken.act", ALL)
        with pytest.raises(Unavailable, match="not tried again yet after: broken: cannot connect") as caught:
            await tools.find("broken.act", ALL)
        assert 0 < (caught.value.retry_after_s or 0) <= 0.25


async def test_a_server_that_never_answers_is_unavailable_in_time_and_ends_at_close() -> None:
    async with servers({"mute": python("import time; time.sleep(600)", timeout_s=0.5)}) as tools:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="cannot list its tools within"):
            await tools.find("mute.act", ALL)
        assert time.monotonic() - begun < 30
        assert offspring()


async def test_a_server_that_talks_nonsense_does_no_harm() -> None:
    source = "import sys, time\nfor n in range(1000): print('{nonsense', flush=True)\ntime.sleep(600)"
    async with servers({"mad": python(source, timeout_s=1)}) as tools:
        with pytest.raises(Unavailable):
            await tools.find("mad.act", ALL)


async def test_close_ends_calls_in_flight_and_servers_that_know_no_end(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log), "web": desk.entry()}) as tools:
        server, child = [(await call(tools, f"desk.{name}"))["result"] for name in ("pid", "spawn")]
        calls = [
            asyncio.create_task(call(tools, f"{name}.slow", seconds=60, name=f"close-{name}"))
            for name in ("desk", "web")
        ]
        await until(lambda: {"started close-desk", "started close-web"} <= set(desk.lines()), "both run")
        begun = time.monotonic()
        os.kill(server, signal.SIGSTOP)  # it will not leave by itself
        await tools.close()
        assert time.monotonic() - begun < 30
        assert await outcomes(calls) == [OutcomeUnknown] * 2
        assert not alive(server)
        await until(lambda: not alive(child), "its child has ended too")
        with pytest.raises(Unavailable, match="closed"):
            await call(tools, "desk.add", a=1, b=1)
        await until(lambda: "cancelled close-web" in desk.lines(), "the call over HTTP is cancelled")


async def test_closing_while_a_server_is_being_started_waits_for_nothing() -> None:
    async with servers({"mute": python("import time; time.sleep(600)")}) as tools:
        finding = asyncio.create_task(tools.find("mute.act", ALL))
        await until(offspring, "the server is started")
        begun = time.monotonic()
        await tools.close()
        assert time.monotonic() - begun < 6
        assert (await outcomes([finding])) in ([Unavailable], [asyncio.CancelledError])


async def test_who_gives_up_on_a_connection_does_not_end_it_for_the_others(desk: Desk) -> None:
    async with servers({"desk": stdio(desk.log)}) as tools:
        finding = [asyncio.create_task(tools.find("desk.add", ALL)) for _ in range(5)]
        await asyncio.sleep(0)
        finding[0].cancel()
        assert [type(one).__name__ for one in await asyncio.gather(*finding, return_exceptions=True)] == [
            "CancelledError",
            *["Tool"] * 4,
        ]


async def test_our_own_environment_is_not_given_to_a_server(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUREFOOT_SECRET_THING", "1")
    source = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ))"
    entry = python(source, str(tmp_path / "names"))
    async with servers({"nosy": entry | {"env": {"GIVEN": "1"}}}) as tools:
        with pytest.raises(Unavailable):
            await tools.find("nosy.act", ALL)
    names = (tmp_path / "names").read_text().split()
    assert "GIVEN" in names
    assert "PATH" in names
    assert "SUREFOOT_SECRET_THING" not in names
