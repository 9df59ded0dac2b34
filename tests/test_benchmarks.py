"""The benchmark runs, checks what both sides did, and compares with the floor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import guards, trip, waiting
from benchmarks.report import COLUMNS, ratios, table
from tests.support.stage import ROOT


def test_both_sides_do_the_work_and_are_compared() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--jobs", "8", "--singles", "3", "--json"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [run["name"] for run in figures["runs"]] == ["bare Celery", "Surefoot", "bare Celery"]
    assert all(run[column] > 0 for run in figures["runs"] for column in COLUMNS)
    assert set(figures["ratios"]["Surefoot"]) == set(COLUMNS)


def test_ratios_are_to_the_mean_of_the_floor_before_and_after() -> None:
    lines = [
        ("floor", dict.fromkeys(COLUMNS, 1.0)),
        ("x", dict.fromkeys(COLUMNS, 6.0)),
        ("floor", dict.fromkeys(COLUMNS, 3.0)),
    ]
    compared = ratios(lines, floor="floor")
    assert compared == {"x": dict.fromkeys(COLUMNS, 3.0)}
    assert "6.0 (3.00x)" in table(lines, compared, 10, 5)


def test_the_ledger_books_once_a_key_and_counts_every_attempt(tmp_path: Path) -> None:
    ledger = trip.Ledger(tmp_path / "ledger.sqlite")
    for key in ("a", "a", "b"):
        ledger.book("job", key, "offer", key)
    assert ledger.count() == {"attempts": 3, "bookings": 2, "things": 2}
    ledger.close()


@pytest.mark.parametrize("wrong", [{"total_usd": 1}, {"itinerary": []}])
def test_a_wrong_result_is_noticed(wrong: dict[str, object]) -> None:
    parts = [{"what": what, "found": trip.search(what, "Lisbon")} for what in trip.SPECIALISTS]
    result = trip.solve(parts)
    assert trip.right(result)
    assert not trip.right(result | wrong)


def test_jobs_that_wait_hold_no_lease_worker_or_connection_and_go_on_when_they_are_answered() -> None:
    figures = waiting.play(jobs=50, answered=5, watched_s=0)
    assert waiting.wrong(figures) == []
    assert figures["held"] | {"connections": 0} == dict.fromkeys(figures["held"], 0)
    assert (figures["listed"], figures["still_waiting"]) == (50, 45)
    assert 0 < figures["bytes_a_job"] < 100_000
    assert figures["bytes_of_parts"].keys() == {"job", "calls", "events", "spans"}


def test_each_single_guard_is_compared_with_the_same_step_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "ROUNDS", 2)
    monkeypatch.setattr(guards, "COUNTED", 5)
    few = [
        guard for guard in guards.GUARDS if not guard.budget or guard.budget.tokens
    ]  # no ceiling of the job, or this
    monkeypatch.setattr(guards, "GUARDS", few)
    rows = {row["name"]: row for row in guards.compare(2)}
    assert list(rows) == [guard.name for guard in few]
    bases = {name for name, row in rows.items() if not row["adds"]}
    assert bases == {guards.CALL, guards.MODEL}
    assert {rows[name]["trips"] for name in bases} == {4.0}
    assert {row["trips"] for row in rows.values() if row["adds"]} == {0.0}
    assert f"| {guards.CALL} | 4.0 | " in guards.report_guards(list(rows.values()), 2)


def test_the_guards_of_a_step_are_counted_in_round_trips() -> None:
    step, call = (guards.measure(line, 10) for line in guards.LINES[:2])
    own, more = {"open", "claim", "commit"}, {"call_begin", "call_settle"}
    assert own <= step["trips"].keys()
    assert not more & step["trips"].keys()
    assert own | more <= call["trips"].keys()
    assert {name: call["trips"][name] for name in own | more if not 1 <= call["trips"][name] <= 1.5} == {}
    assert "| `claim` | 1." in guards.report([step, call], 10)
