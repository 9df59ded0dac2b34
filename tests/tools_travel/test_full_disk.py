"""The ledger's disk is full, or its database locked: unavailable, and booked once when that is over."""

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator import Orchestrator
from tests.support.disks import Disk, Limited, small_disk
from tests.support.stage import stage
from tests.support.waiting import wait_until
from tests.tools_client.stage import call, servers
from tests.tools_travel.serving import DAY, LATER, Served
from tools.config import Extras
from tools.outcome import Unavailable
from tools.travel import ledger as ledgers
from tools.travel import store
from tools.travel.ledger import Ledger, LedgerUnavailable

BOOKING = {"title": "Denver", "total_usd": 12.5}
OFFER = f"H0_Denver_{DAY}_{LATER}"


@pytest.fixture(params=["tmpfs", "limit"])
def disk_and_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Disk | Limited, Served, Ledger]]:
    """The hotels server, and what fills its ledger's disk."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk()) if request.param == "tmpfs" else None
        home = (disk.folder if disk else tmp_path) / "home"
        served = stack.enter_context(Served.started("hotels", home))
        yield disk or Limited(served.process.pid), served, Ledger(f"sqlite:///{home / 'ledger.sqlite'}")


async def test_a_full_disk_is_unavailable_and_books_once_when_there_is_room(
    disk_and_server: tuple[Disk | Limited, Served, Ledger],
) -> None:
    disk, served, ledger = disk_and_server
    async with servers({"hotels": {"url": served.url, "surefoot": {"effects": {"book": "keyed"}}}}) as tools:
        await call(tools, "hotels.book", key="before", offer_id=OFFER, guests=2)
        disk.fill()
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"(is full|disk I/O error); nothing was booked") as caught:
                await call(tools, "hotels.book", key="a", offer_id=OFFER, guests=2)
            assert caught.value.retry_after_s == 1
        lookup = await tools.find("hotels.lookup", ["*"])
        assert (await lookup.call({"key": "before"}, key="l", timeout_s=60))["found"], "what was booked can be read"
        assert ledger.count() == 1
        disk.free()

        first = await call(tools, "hotels.book", key="a", offer_id=OFFER, guests=2)
        assert await call(tools, "hotels.book", key="a", offer_id=OFFER, guests=2) == first
    assert ledger.count() == 2


def test_a_new_ledger_on_a_full_disk_is_made_when_there_is_room() -> None:
    with small_disk() as disk:
        ledger = Ledger(f"sqlite:///{disk.folder / 'ledger.sqlite'}")
        disk.fill()
        for attempt in (lambda: ledger.book("hotel", "a", {}, BOOKING), lambda: ledger.lookup("hotel", "a")):
            with pytest.raises(LedgerUnavailable, match="is full; nothing was booked"):
                attempt()
        disk.free()
        assert ledger.book("hotel", "a", {}, BOOKING)["key"] == "a"
        assert ledger.count() == 1


def test_a_step_waits_for_room_and_books_once(tmp_path: Path) -> None:
    with Served.started("hotels", tmp_path / "hotels") as served:
        config = {"hotels": {"url": served.url, "surefoot": {"effects": {"book": "keyed"}}}}
        (tmp_path / "hotels.json").write_text(json.dumps({"mcpServers": config}))
        settings: dict[str, Any] = {"attempts": 100, "workflows": "tests.testing.flows"}
        with stage(tmp_path, mcp_config=tmp_path / "hotels.json", **settings) as played:
            Limited(served.process.pid).fill()
            played.worker()
            app = Orchestrator(redis_url=played.server.url, workflows=("tests.testing.flows",), trace=False)
            job = app.submit({"offer_id": OFFER}, workflow="lodging")
            wait_until(lambda: job.steps[0].attempts > 1, "the step has tried, and tries again")
            Limited(served.process.pid).free()
            assert job.result(100)["status"] == "booked"
            app.close()
    assert Ledger(f"sqlite:///{tmp_path / 'hotels' / 'ledger.sqlite'}").count() == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and turns are waited for a moment only."""
    for module in (store, ledgers):
        monkeypatch.setattr(module, "BUSY_S", 0.2)
    monkeypatch.setattr(ledgers, "TURN_S", 0.3)


def test_a_locked_ledger_is_unavailable_to_all_and_books_each_key_once_afterwards(
    tmp_path: Path, impatient: None
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    ledger.book("hotel", "before", {}, BOOKING)
    keys = [f"key-{number}" for number in range(20)]

    def book(key: str) -> str:
        try:
            return str(ledger.book("hotel", key, {}, BOOKING)["key"])
        except LedgerUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(20) as threads:
        holder = sqlite3.connect(tmp_path / "l.sqlite", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        refused = list(threads.map(book, keys))
        assert not set(refused) & set(keys)
        assert any("database is locked; nothing was booked" in said for said in refused)
        holder.execute("ROLLBACK")
        holder.close()
        assert [ledger.book("hotel", key, {}, BOOKING)["key"] for key in keys] == keys
    assert ledger.count() == 21


def test_the_ledger_gives_up_before_its_clients_do() -> None:
    assert Extras.model_validate({}).timeout_s > 2 * ledgers.TURN_S + store.BUSY_S


@pytest.mark.parametrize(
    "statement", ["LOCK TABLE booking IN EXCLUSIVE MODE", "INSERT INTO entry VALUES ('a', 'f', '{}', 'H-1')"]
)
def test_a_locked_postgres_is_unavailable_and_books_once_afterwards(
    postgres_url: str, impatient: None, statement: str
) -> None:
    ledger = Ledger(postgres_url)
    ledger.book("hotel", "before", {}, BOOKING)
    with psycopg.connect(postgres_url) as holder:
        holder.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
        with pytest.raises(LedgerUnavailable, match="lock timeout; nothing was booked"):
            ledger.book("hotel", "a", {}, BOOKING)
        assert ledger.lookup("hotel", "before") is not None, "reading needs no lock"
        holder.rollback()
    assert ledger.book("hotel", "a", {}, BOOKING)["key"] == "a"
    assert ledger.count() == 2


@contextmanager
def moving(url: str, disk: Disk) -> Generator[Callable[[], None]]:
    """What moves a ledger's tables to a disk, before a server on this machine; afterwards they are moved back."""
    space = sql.Identifier(f"surefoot_{uuid.uuid4().hex[:12]}")

    def move(to: sql.Identifier = space) -> None:
        for table in ("entry", "booking"):
            admin.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE {}").format(sql.Identifier(table), to))

    with psycopg.connect(url, autocommit=True) as admin:
        row = admin.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        folder = disk.folder / "tables"
        folder.mkdir()
        os.chown(folder, Path(f"/proc/{row[0]}").stat().st_uid, -1)
        admin.execute(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(space, str(folder)))
        try:
            yield move
        finally:
            move(sql.Identifier("pg_default"))
            admin.execute(sql.SQL("DROP TABLESPACE {}").format(space))


def test_a_postgres_whose_disk_is_full_is_unavailable_and_books_once_afterwards(postgres_url: str) -> None:
    with small_disk() as disk, moving(postgres_url, disk) as move:
        ledger = Ledger(postgres_url)
        ledger.book("hotel", "before", {}, BOOKING)
        move()
        disk.fill()
        booked = 1
        with pytest.raises(LedgerUnavailable, match="No space left on device; nothing was booked"):
            while booked < 10_000:
                ledger.book("hotel", f"key-{booked}", {}, BOOKING)
                booked += 1
        assert ledger.lookup("hotel", f"key-{booked}") is None
        assert ledger.count() == booked
        disk.free()
        ledger.book("hotel", f"key-{booked}", {}, BOOKING)
        assert ledger.count() == booked + 1
