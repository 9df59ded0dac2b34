"""Theatres of the kill matrix: one for each broker and pool, shared by its cells."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from tests.crash.matrix import Theatre
from tests.support.stage import stage_on
from tools.testing import FaultServer

FLOWS = "tests.crash.boundaries"
TOOL_S = 3.0
"""A look-up that finds nothing is believed after twice as long."""


@contextmanager
def theatre_on(broker: str, folder: Path) -> Generator[Theatre]:
    """Set it up, and clear it."""
    with FaultServer(folder / "faults") as faults:
        config = folder / "faults.json"
        config.write_text(json.dumps({"mcpServers": {"faults": faults.entry(timeout_s=TOOL_S)}}))
        with stage_on(broker, folder, mcp_config=config, workflows=FLOWS, attempts=20) as played:
            armed = folder / "armed"
            played.environment["TEST_ARMED"] = str(armed)
            broker_url = played.broker_url or None
            app = Orchestrator(redis_url=played.server.url, broker_url=broker_url, workflows=(FLOWS,), trace=False)
            try:
                yield Theatre(played, app, faults, armed)
            finally:
                app.close()


@pytest.fixture(scope="module")
def theatres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Theatre]]:
    """The theatre of a broker and a pool, made when it is first asked for."""
    made: dict[tuple[str, str], Theatre] = {}
    with ExitStack() as opened:

        def theatre(broker: str, pool: str) -> Theatre:
            if (broker, pool) not in made:
                folder = tmp_path_factory.mktemp("theatre")
                made[broker, pool] = opened.enter_context(theatre_on(broker, folder))
            return made[broker, pool]

        yield theatre
