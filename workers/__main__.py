"""`python -m workers`: one worker. Environment: SUREFOOT_* (docs/configuration.md)."""

import argparse
import os
import sys

from orchestrator import connect
from orchestrator.errors import StoreRefused, StoreUnavailable, SurefootError
from orchestrator.prices import Prices
from orchestrator.settings import Settings, load
from orchestrator.state import keys
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.telemetry.redaction import redact_text
from orchestrator.workflow import catalogue
from tools.config import InvalidToolConfig
from tools.servers import prepare
from workers.models import Models
from workers.toolbox import tool_config

POOLS = {"asyncio": "workers.pool:TaskPool", "prefork": "workers.prefork:TaskPool"}


def main() -> int:
    """Parse, check the settings, and become a Celery worker."""
    parser = argparse.ArgumentParser(prog="surefoot worker", description="Runs steps until SIGTERM.")
    parser.add_argument(
        "--concurrency", type=int, default=0, help="steps at once (default: 200 asyncio, cores prefork)"
    )
    parser.add_argument("--pool", choices=tuple(POOLS), default="asyncio", help="prefork: CPU-heavy specialists")
    parser.add_argument("--queues", default="", help="specialists' queues, comma separated (default: all)")
    parser.add_argument("--name", default="", help="shown in Flower (default: the host's name)")
    parser.add_argument("--events", action="store_true", help="send worker events, for Flower")
    options = parser.parse_args()
    try:
        settings = load()
        catalogue.load(settings.workflows)
        queues = _queues(options.queues)
        prepare(tool_config(settings))
        Models(settings).prepare()
        Prices(settings.prices)  # read again by each process; what is wrong with it is said at once
        _introduce(settings)
    except (SurefootError, InvalidToolConfig) as error:
        return _refused(error)
    words = ["worker", f"--loglevel={settings.log_level}", "--without-mingle", "--without-gossip", f"--queues={queues}"]
    words += [f"--hostname={options.name or 'worker'}@%h"]
    words += [f"--concurrency={options.concurrency or (200 if options.pool == 'asyncio' else os.cpu_count() or 1)}"]
    words += ["--pool=custom"]
    if options.events or settings.events:
        words.append("--task-events")
    return _become(options.pool, words)


def _introduce(settings: Settings) -> None:
    """Ask Redis once: one that is away is waited for later, one that refuses us would be waited for in vain."""
    client = SyncClient(connect.state_url(settings), patience_s=0)
    try:
        without_loop(client.command("PING"))
    except StoreRefused:
        raise
    except (StoreUnavailable, ReplyError) as error:  # away, or still loading its data
        print(f"surefoot worker: waiting for it: {redact_text(str(error))}", file=sys.stderr)  # noqa: T201 - before logging is set up
    finally:
        client.close()


def _queues(wanted: str) -> str:
    """The broker's queues of these specialists' queues; the re-driven first, since they have waited."""
    known = catalogue.queues()
    names = [name.strip() for name in wanted.split(",") if name.strip()] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SurefootError(f"--queues: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return ",".join(name(queue) for queue in names for name in (keys.redrive_queue, keys.queue))


def _refused(error: Exception) -> int:
    print(f"surefoot worker: {redact_text(str(error))}", file=sys.stderr)  # noqa: T201 - before logging is set up
    return 2


def _become(pool: str, words: list[str]) -> int:
    os.environ["CELERY_CUSTOM_WORKER_POOL"] = POOLS[pool]  # read by Celery when it is imported
    try:
        from workers.app import app  # noqa: PLC0415 - Celery looks at the environment when it is imported
    except SurefootError as error:
        return _refused(error)
    app.worker_main(words)
    return app.exit_code


if __name__ == "__main__":
    sys.exit(main())
