"""`python -m benchmarks.chaos.rabbitmq`: RabbitMQ killed with SIGKILL under load, and away for 30 seconds.

A node of its own with its own files. Jobs of 5 steps and 3 bookings are submitted all the time, also while it is away.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from orchestrator import Job
from tests.support.ledger import effects
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
BEFORE_S, AWAY_S, AFTER_S, PAUSE_S, WORKERS, BOOKINGS = 10.0, 30.0, 10.0, 0.25, 2, 3


class Node:
    """A RabbitMQ node in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port, distribution = _free_port(), _free_port()
        self._log = (folder / "node.log").open("ab")
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")
        self._environment = os.environ | {
            "RABBITMQ_NODENAME": f"surefoot-{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "HOME": str(folder),
        }

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._process = subprocess.Popen(
            [SERVER], env=self._environment, stdout=self._log, stderr=self._log, start_new_session=True
        )
        wait_until(self._listens, "RabbitMQ listens", 60)

    def kill(self) -> None:
        """SIGKILL, with all that it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def load(played: Stage, seconds: float, slowest: list[float]) -> list[Job]:
    """Submit jobs for so long."""
    jobs: list[Job] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        jobs.append(played.app.submit({"item": "bed", "seconds": 0.2}, workflow="journey"))
        slowest.append(time.monotonic() - began)
        time.sleep(PAUSE_S)
    return jobs


def play(folder: Path, node: Node) -> dict[str, object]:
    """The whole run, counted."""
    node.start()
    url = f"amqp://guest:guest@127.0.0.1:{node.port}/"
    with stage(folder, broker_url=url, lease_s=2, grace_s=2, sweep_s=0.5) as played:
        for _ in range(WORKERS):
            played.worker("--concurrency", "50", "--queues", "begin,flight,hotel,table,finish")
        waits: dict[str, list[float]] = {"before": [], "away": [], "after": []}
        jobs = load(played, BEFORE_S, waits["before"])
        node.kill()
        during = load(played, AWAY_S, waits["away"])
        node.start()
        back = time.monotonic()
        later = load(played, AFTER_S, waits["after"])
        for job in (*jobs, *during):
            job.result(300)
        recovered_s = time.monotonic() - back
        jobs += during + later
        done = sum(len(job.result(300)) == BOOKINGS for job in jobs)
        logs = b"".join(played.log(number) for number in range(1, WORKERS + 1))
        redriven = sum(map(int, re.findall(rb'"(?:lost_leases|unclaimed_steps|lost_joins|overdue)": (\d+)', logs)))
        return {
            "jobs submitted": len(jobs),
            "of these while RabbitMQ was away": len(during),
            "jobs succeeded": done,
            "bookings (3 a job)": len(effects(played.ledger)),
            "attempts of steps (5 a job)": sum(step.attempts for job in jobs for step in job.steps),
            "steps sent by the sweeper": redriven,
            "workers that ended": sum(worker.poll() is not None for worker in played.workers),
            "slowest submit, ms": {when: round(1000 * max(times)) for when, times in waits.items()},
            "all earlier jobs done after it was back, s (at most)": round(recovered_s, 1),
        }


def main() -> None:
    """Run it and print the counts."""
    with tempfile.TemporaryDirectory(prefix="sf-chaos-") as name:
        folder = Path(name)
        node = Node(folder)
        try:
            for what, count in play(folder, node).items():
                print(f"{what:54}{count}")
        finally:
            node.kill()


if __name__ == "__main__":
    main()
