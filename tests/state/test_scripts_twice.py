"""Every script run twice with the same arguments: the second answer is as its header says, and nothing changes.

A script is repeated whenever its first answer was lost with the connection.
"""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from orchestrator.state.scripts import LUA
from orchestrator.state.steps import Ending
from tests.state.conftest import Stores
from tests.state.scenes import FORK, JOB
from tests.state.test_scripts import prepare

Answer = Any
SECOND: dict[str, Callable[[Answer], bool]] = {
    "answer": lambda row: row == [b"OK", []],
    "beat": lambda row: row == [b"OK"],
    "fleet": lambda row: row == [[], [], 0],
    "call_begin": lambda row: row[:4] == [b"AGAIN", b"begun", [], 2],
    "call_settle": lambda row: row == [b"OK"],
    "cancel": lambda row: row == [b"ENDED", b"cancelled"],
    "claim": lambda row: row[0] == b"HELD" and row[1].isdigit(),
    "claim_undo": lambda row: row[0] == b"HELD" and row[1].isdigit(),
    "commit": lambda row: row == [b"STALE", b"succeeded"],
    "commit_undo": lambda row: row == [b"STALE", b"succeeded"],
    "emit": lambda row: row == [b"OK"],
    "expire": lambda row: row == [0, [], [], 0, []],
    "fork": lambda row: row == [b"EXISTS", FORK.encode()],
    "give_back": lambda row: row == [b"STALE", b"retrying"],
    "keep": lambda row: row == [b"OK"],
    "open": lambda row: row == [b"EXISTS", JOB.encode()],
    "pin": lambda row: row == [b"OK", [b"t.x", b"c"]],
    "park": lambda row: row == [b"DEAD", b"waiting"],
    "recall": lambda row: [each[:6] for each in row] == [[1, b"p", b"t.x", b"unsafe", b"begun", 1]],
    "refuse": lambda row: row == [b"NOTHING", b"failed"],
    "release": lambda row: row == [b"STALE", b"retrying"],
    "renew": lambda row: row == [],
    "remember": lambda row: row == [b"OK"],
    "resume": lambda row: row == [b"REFUSED", b"running"],
    "retire": lambda row: row == 0,
    "root": lambda row: row == [b"OK"],
    "sweep_leases": lambda row: row == [0, []],
    "sweep_ready": lambda row: row == [0, 0, 0, []],
    "sweep_again": lambda row: row == [0, []],
    "sweep_calls": lambda row: row == [0, 0],
    "sweep_doubts": lambda row: row[:2] == [1, 1],
    "whose": lambda row: row == [JOB.encode()],
    "census": lambda row: row[0][::2] == [1, 0, 0, 0, 0, 0] and row[2:4] == [0, 0],
}
"""Script -> whether this is the answer to a repeated call."""

MOVES_ON = {
    "beat": "it was heard of a little later",
    "call_begin": "the first counts as sent",
    "emit": "the message is told twice",
    "keep": "packs of spans are kept twice",
    "renew": "the lease is longer",
    "sweep_ready": "the marks of the queues follow the time",
    "sweep_again": "the marks of the queues follow the time",
}
"""Scripts whose repetition is seen in the state, and how."""


def everything(stores: Stores) -> dict[str, Any]:
    """All keys with their values, scores and times."""
    reads = {b"hash": ("HGETALL",), b"zset": ("ZRANGE", 0, -1, "WITHSCORES"), b"list": ("LRANGE", 0, -1)}
    reads |= {b"stream": ("XRANGE", "-", "+"), b"set": ("SMEMBERS",), b"string": ("GET",)}
    found: dict[str, Any] = {}
    for key in sorted(stores.command("KEYS", "*")):
        verb, *rest = reads[stores.command("TYPE", key)]
        value = stores.command(verb, key, *rest)
        found[key.decode()] = sorted(value) if verb == "SMEMBERS" else value
    return found


def test_every_script_file_is_here() -> None:
    assert sorted(path.stem for path in LUA.glob("*.lua")) == sorted(SECOND)


@pytest.mark.parametrize("script", SECOND)
def test_the_second_answer_is_as_the_header_says(stores: Stores, script: str) -> None:
    arguments = prepare(stores, script)
    first = do(stores.scripts.run(script, *arguments))
    if script == "open":  # the job was opened before, with the same key
        assert first == [b"EXISTS", JOB.encode()]
    elif script not in {
        "renew",
        "emit",
        "call_settle",
        "expire",
        "retire",
        "census",
        "beat",
        "fleet",
        "sweep_ready",
        "sweep_doubts",
        "recall",
        "whose",
        "keep",
        "pin",
        "remember",
    }:
        assert not SECOND[script](first), first
    once = everything(stores)

    second = do(stores.scripts.run(script, *arguments))

    assert SECOND[script](second), second
    if script not in MOVES_ON:
        assert everything(stores) == once


def test_what_ended_the_job_or_left_others_running_is_told_apart(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b")]), JOB)
    parked, last = stores.claim(JOB, "a"), stores.claim(JOB, "b")
    assert do(stores.steps.park(parked, [Question("a/day", "day", "which day?", step="a")])) == "OK"
    assert do(stores.steps.park(parked, [Question("a/day", "day", "which day?", step="a")])) == "STALE"
    assert do(stores.steps.commit(last, Ending("failed", {"kind": "x"}, "x"))).why == "failed"
    once = everything(stores)
    assert do(stores.steps.commit(last, Ending("failed", {"kind": "x"}, "x"))).answer == "DEAD"
    assert everything(stores) == once


def test_a_third_and_fourth_begin_count_each_attempt(stores: Stores) -> None:
    arguments = prepare(stores, "call_begin")
    answers = [do(stores.scripts.run("call_begin", *arguments)) for _ in range(7)]
    assert [answer[:2] for answer in answers[:5]] == [[b"GO", b""]] + 4 * [[b"AGAIN", b"begun"]]
    assert answers[5:] == 2 * [[b"OVER", b"tool_calls", b"5", b"5"]]  # the fifth may have been sent too
    record = do(stores.jobs.read(JOB))
    assert (record.fields["spent:tool_calls"], record.fields["held:tool_calls"]) == ("5", "0")


@pytest.mark.parametrize("key", ["", keys.submission("t", "once")])
def test_the_first_open_stores_and_the_second_finds(stores: Stores, key: str) -> None:
    row = '[{"n":"a","s":"a","q":"a","d":[],"x":[],"o":0,"a":"{}","no":1}]'
    fields = '{"workflow":"w","tenant":"t","request":"{}","trace":""}'
    ledger = '{"steps":3,"tool_calls":-1,"tokens":-1,"usd":9007199254740991}'
    arguments = [JOB, fields, ledger, 60_000, row, "{}", key, "{}"]
    assert do(stores.scripts.run("open", *arguments)) == [b"OPENED", b"a"]
    once = everything(stores)
    assert do(stores.scripts.run("open", *arguments)) == [b"EXISTS", JOB.encode()]
    assert everything(stores) == once
    assert do(stores.jobs.read(JOB)).fields["max:usd"] == "9007199254740991"
    assert stores.command("LLEN", "a.{0}") == 1


def test_a_server_that_forgot_the_scripts_is_told_them_again(stores: Stores) -> None:
    arguments = prepare(stores, "claim")
    stores.command("SCRIPT", "FLUSH")
    assert do(stores.scripts.run("claim", *arguments))[0] == b"CLAIMED"
