"""A real server, the stores on it, and after each test: nothing left behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator import Plan
from orchestrator.canvas import WireForms
from orchestrator.settings import load
from orchestrator.state import keys
from orchestrator.state.calls import CallStore
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.state.jobs import JobStore, NewJob
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Lease, StepStore
from orchestrator.state.sweeping import SweepStore
from orchestrator.state.undo import UndoStore, work
from orchestrator.status import JobStatus
from orchestrator.workflow import Profile, catalogue
from tests.support.valkey import Valkey, valkey

NAMES = "abcdefgh"


@dataclass
class Stores:
    """The stores, run in place."""

    client: SyncClient
    scripts: Scripts
    jobs: JobStore
    steps: StepStore
    calls: CallStore
    undos: UndoStore
    sweeper: SweepStore

    def command(self, *words: Any) -> Any:
        return without_loop(self.client.command(*words))

    def open(
        self,
        plan: Plan,
        job_id: str = "0" * 31 + "1",
        seconds: float | None = None,
        at_ceiling: Any = "fail",
        on_failure: Any = "keep",
        **ceilings: int,
    ) -> str:
        limits = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1, "answer_bytes": -1} | ceilings
        new = NewJob(
            job_id,
            "w",
            "t",
            {"x": 1},
            limits,
            seconds=seconds,
            key=f"key-{job_id}",
            plan=plan,
            at_ceiling=at_ceiling,
            on_failure=on_failure,
            undo_calls=1_000,
        )
        return without_loop(self.jobs.open(new))

    def claim(self, job_id: str, step: str) -> Lease:
        claim = without_loop(self.steps.claim(job_id, step))
        assert claim.answer == "CLAIMED", claim
        return Lease(job_id, step, claim.fence)

    def dump(self) -> dict[str, Any]:
        """Everything that is stored, apart from times."""
        found: dict[str, Any] = {}
        for key in sorted(self.command("KEYS", "*")):
            kind = self.command("TYPE", key)
            if kind == b"hash":
                words = self.command("HGETALL", key)
                pairs = dict(zip(words[::2], words[1::2], strict=True))
                found[key.decode()] = {
                    n: v for n, v in pairs.items() if not n.endswith((b"until", b"since", b"mid_at", b"deadline"))
                }
            elif kind == b"zset":
                found[key.decode()] = sorted(self.command("ZRANGE", key, 0, -1))
            elif kind == b"list":
                found[key.decode()] = self.command("LLEN", key)
            elif kind == b"stream":
                found[key.decode()] = self.command("XLEN", key)
            else:
                found[key.decode()] = kind
        return found


@pytest.fixture(scope="session")
def server() -> Iterator[Valkey]:
    with valkey() as one:
        yield one


def stores_on(url: str, lease_s: float = 30.0, grace_s: float = 0.2) -> Stores:
    client = SyncClient(url, patience_s=2)
    scripts = Scripts(client, WireForms(load(redis_url=url)).message())
    return Stores(
        client,
        scripts,
        JobStore(scripts, 600),
        StepStore(scripts, lease_s, 600),
        CallStore(scripts),
        UndoStore(scripts, lease_s, 600),
        SweepStore(scripts, grace_s, 600),
    )


@pytest.fixture
def stores(server: Valkey) -> Iterator[Stores]:
    for name in NAMES:
        catalogue.profiles[name] = Profile(name)
    one = stores_on(server.url)
    one.command("FLUSHALL")
    yield one
    nothing_left_behind(one)
    one.client.close()


@pytest.fixture
def quick(server: Valkey, stores: Stores) -> Stores:
    """Stores whose sweeper counts a message as lost after 20 ms."""
    return stores_on(server.url, grace_s=0.02)


def nothing_left_behind(stores: Stores) -> None:
    """Of every job that has ended: a TTL on each key, nothing reserved, no lease, no deadline.

    While it is undone there is no TTL yet, and whoever undoes it has a lease.
    """
    for key in stores.command("KEYS", keys.FAMILIES["job"] + "*"):
        job_id = key.decode().rpartition(":")[2]
        record = without_loop(stores.jobs.read(job_id))
        if not JobStatus(record.fields["status"]).final:
            continue
        own = (keys.job(job_id), keys.calls(job_id), keys.events(job_id), keys.ends(job_id))
        for name in (*own, record.fields.get("skey", "")):
            exists = name and stores.command("EXISTS", name)
            assert not exists or (stores.command("TTL", name) == -1) == bool(record.undo.pending), name
        assert {record.fields[f"held:{kind}"] for kind in ("steps", "tool_calls", "tokens", "usd", "answer_bytes")} == {
            "0"
        }
        held = [member.decode() for member in stores.command("ZRANGE", keys.INDEXES["leases"], 0, -1)]
        ours = {member.partition(".")[2] for member in held if member.startswith(job_id)}
        assert ours <= {work(step) for step in record.undo.steps if record.undo.pending}
        assert stores.command("ZSCORE", keys.INDEXES["deadlines"], job_id) is None
