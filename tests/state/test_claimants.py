"""Two hundred claimants in twenty processes, and one ceiling: exactly what it allows, and nothing of it lost."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orchestrator import Plan, Step
from orchestrator.state.client import without_loop as do
from tests.state.claimants import PROCESSES, THREADS
from tests.state.conftest import Stores
from tests.support.valkey import Valkey

JOB, CROWD = "0" * 31 + "9", PROCESSES * THREADS


def all_at_once(stores: Stores, server: Valkey, play: str, **ceilings: int) -> list[Any]:
    stores.open(Plan([Step("a", f"s{i}") for i in range(CROWD)]), JOB, **ceilings)
    leases = [stores.claim(JOB, f"s{i}") for i in range(CROWD)]
    words = json.dumps([[lease.job_id, lease.step, lease.fence] for lease in leases])
    command = [sys.executable, "-m", "tests.state.claimants", server.url, play]
    ended = subprocess.run(command, input=words, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def went(answers: Sequence[Sequence[str]], chance: int) -> int:
    return sum(len(one) > chance and one[chance] in {"GO", "AGAIN"} for one in answers)


def test_n_of_200_claimants_go_and_what_some_give_back_goes_to_others(stores: Stores, server: Valkey) -> None:
    ceiling = 77
    said = all_at_once(stores, server, "calls", tool_calls=ceiling)
    assert Counter(one[0] for one in said) == Counter(GO=ceiling, OVER=CROWD - ceiling)
    given_back = sum(one[0] == "GO" and len(one) == 2 for one in said)
    assert went(said, 1) == given_back
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved, line.free) == (ceiling, 0, 0)
    done = [call for call in do(stores.jobs.calls(JOB)) if call["state"] == "done"]
    assert len(done) == ceiling


def test_answers_of_200_claimants_fill_the_ceiling_of_bytes_to_the_last_one(stores: Stores, server: Valkey) -> None:
    ceiling = 4_321  # all of them want about 10,000
    said = all_at_once(stores, server, "answers", answer_bytes=ceiling)
    sizes = [size for one in said for size in one]
    kept, cut = sum(size for size in sizes if size > 0), -sum(size for size in sizes if size < 0)
    assert kept + cut == ceiling
    assert cut < 100, "all that is left goes to one call, and only then a larger answer is cut off"
    line = do(stores.jobs.read(JOB)).spend.answer_bytes
    assert (line.spent, line.reserved, line.free) == (ceiling, 0, 0)
