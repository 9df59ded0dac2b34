"""A worker that is cut off from Redis for longer than its lease, in mid-call: when it is back it changes nothing."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.state.presence import PresenceStore
from orchestrator.state.scripts import Scripts
from tests.crash.conftest import FLOWS
from tests.crash.matrix import EFFECT_DONE, Cell, Theatre, of
from tests.support.relay import Relay
from tests.support.stage import stage
from tests.support.waiting import wait_until
from tests.tools_client.test_servers import free_port
from tools.testing import Delay, FaultServer


@contextmanager
def theatre_behind_a_relay(folder: Path) -> Generator[tuple[Theatre, Relay]]:
    """One worker reaches Redis through the relay, the test and who comes later do not."""
    port = free_port()
    with FaultServer(folder / "faults") as faults:
        config = folder / "faults.json"
        config.write_text(json.dumps({"mcpServers": {"faults": faults.entry(timeout_s=30)}}))
        options = ("--port", str(port))
        with stage(folder, server_options=options, mcp_config=config, workflows=FLOWS, attempts=20) as played:
            relay = Relay(port)
            direct = played.environment["SUREFOOT_REDIS_URL"]
            played.environment["SUREFOOT_REDIS_URL"] = f"redis://127.0.0.1:{relay.port}"
            played.worker("--concurrency", "20")
            played.environment["SUREFOOT_REDIS_URL"] = direct
            app = Orchestrator(redis_url=played.server.url, workflows=(FLOWS,), trace=False)
            try:
                yield Theatre(played, app, faults, folder / "armed"), relay
            finally:
                app.close()
                relay.cut()


def is_back(theatre: Theatre) -> None:
    """Wait until the first worker says by its own word, from now on, that it runs nothing any more."""
    client = SyncClient(theatre.stage.server.url)
    presence = PresenceStore(Scripts(client))
    since_ms = without_loop(presence.clock_ms())

    def idle() -> bool:
        now_ms, fleet = without_loop(presence.clock_ms()), without_loop(presence.fleet())
        (worker,) = (one for one in fleet.processes if one.name.startswith("w1@"))
        return now_ms - 1000 * worker.heard_s > since_ms and worker.facts.get("busy") == 0

    wait_until(idle, "it is back and has ended what it did")
    client.close()


@pytest.mark.parametrize(("away", "tool"), [("refused", "pay"), ("half-open", "book")])
def test_who_comes_back_commits_nothing_and_spends_nothing_more(tmp_path: Path, away: str, tool: str) -> None:
    cell = Cell(EFFECT_DONE, "asyncio worker", "redis", tool)
    with theatre_behind_a_relay(tmp_path) as (theatre, relay):
        theatre.faults.fail(tool, Delay(seconds=5, after_effect=True), match={"item": "bed"})
        job = theatre.app.submit({"tool": tool, "item": "bed"}, workflow="struck")
        wait_until(lambda: of(theatre.faults.effects(tool), "bed"), "the effect is there, its answer is not")
        relay.cut() if away == "refused" else relay.freeze()
        theatre.another(cell)
        theatre.check(cell, job, "bed")
        assert job.record.step("victim").attempts > 1, "the other worker took over when the lease was over"

        before = (theatre.faults.effects(), job.spend, [event.id for event in job.events()])
        relay.mend() if away == "refused" else relay.thaw()
        is_back(theatre)
        theatre.end_all()
        assert (theatre.faults.effects(), job.spend, [event.id for event in job.events()]) == before
        theatre.check(cell, job, "bed")
