"""Whatever ends the parent, at whatever moment: no process, socket or lock is left behind."""

import signal
from pathlib import Path

import pytest
import redis

from orchestrator.embedded import EmbeddedServer, endpoint
from tests.support.parents import AT_A_MOMENT, Parent, moments, parent

SERVE = """
import sys, threading
from pathlib import Path
from orchestrator.embedded import EmbeddedServer
try:
    with EmbeddedServer(Path(sys.argv[1])) as server:
        print(server.redis_url)
        threading.Event().wait()
except KeyboardInterrupt:
    print("interrupted")
"""

START_AND_STOP = (
    AT_A_MOMENT
    + """
from pathlib import Path
from orchestrator.embedded import EmbeddedServer
try:
    begin()
    with EmbeddedServer(Path(sys.argv[1])):
        pass
except KeyboardInterrupt:
    print("interrupted")
end()
"""
)
MOMENTS = 12


def left_behind(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()} - {"logs", "valkey"} if home.exists() else set()


def assert_nothing_is_left(it: Parent) -> None:
    it.wait_all_gone()
    assert left_behind(it.home) == set()


def test_sigkill_takes_the_server_along_and_the_data_stays() -> None:
    with parent() as it:
        url = it.run(SERVE).line()
        redis.Redis.from_url(url).set("kept", "yes")
        it.sigkill()
        assert endpoint(it.home) is None
        assert_nothing_is_left(it)
        with EmbeddedServer(it.home) as server:
            assert redis.Redis.from_url(server.redis_url).get("kept") == b"yes"


def test_a_new_start_right_after_sigkill_waits_for_the_old_server() -> None:
    with parent() as it:
        url = it.run(SERVE).line()
        redis.Redis.from_url(url).set("kept", "yes")
        it.sigkill()
        with EmbeddedServer(it.home) as server:
            assert redis.Redis.from_url(server.redis_url).get("kept") == b"yes"


def test_ctrl_c_ends_all_in_order() -> None:
    with parent() as it:
        url = it.run(SERVE).line()
        redis.Redis.from_url(url).set("kept", "yes")
        it.signal_group(signal.SIGINT)
        assert it.wait().endswith("interrupted\n")
        assert not it.alive(), "all is gone when the parent is"
        assert_nothing_is_left(it)
        assert "Valkey is now ready to exit" in (it.home / "logs" / "valkey.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_other_deadly_signals_leave_nothing(number: signal.Signals) -> None:
    with parent() as it:
        it.run(SERVE).line()
        it.signal_group(number)
        it.wait()
        assert_nothing_is_left(it)


def test_a_long_home_path_leaves_no_private_folder_after_sigkill() -> None:
    with parent() as it:
        it.home /= "l" * 150
        folder = Path(it.run(SERVE).line().removeprefix("unix://")).parent
        assert folder.name.startswith("surefoot-")
        it.sigkill()
        assert_nothing_is_left(it)
        assert not folder.exists()


def test_a_hung_server_is_killed_with_its_parent() -> None:
    with parent() as it:
        it.run(
            SERVE.replace("print(server", "import os, signal; os.kill(server.pid, signal.SIGSTOP); print(server")
        ).line()
        it.sigkill()
        it.wait_all_gone()
        assert left_behind(it.home) == set()


def test_ctrl_c_at_any_moment_leaves_nothing() -> None:
    for moment in moments(START_AND_STOP, MOMENTS):
        with parent() as it:
            said = it.run(START_AND_STOP, str(moment), str(int(signal.SIGINT))).wait()
            assert "Traceback" not in said, f"at call {moment}: {said}"
            assert_nothing_is_left(it)


def test_sigkill_at_any_moment_leaves_no_process_and_nothing_in_the_way_of_the_next_start() -> None:
    for moment in moments(START_AND_STOP, MOMENTS):
        with parent() as it:
            it.run(START_AND_STOP, str(moment), str(int(signal.SIGKILL))).wait()
            it.wait_all_gone()
            assert endpoint(it.home) is None
            with EmbeddedServer(it.home) as server:
                assert redis.Redis.from_url(server.redis_url).ping()
            assert left_behind(it.home) == set(), f"after a kill at call {moment}"
