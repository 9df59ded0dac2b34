"""What is scheduled, drawn, noted and remembered."""

from pathlib import Path

import pytest

from tools.testing import Delay, DropAnswer, Mix, Reset, ServerError, TooManyRequests
from tools.testing.faults import LOTS, AnyFault, restored, stored
from tools.testing.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "l.sqlite")


def names(ledger: Ledger, tool: str, count: int, **arguments: str) -> list[str | None]:
    met = [ledger.arrived(tool, "k", arguments) for _ in range(count)]
    return [type(fault).__name__ if fault else None for fault in met]


def test_faults_happen_to_so_many_calls_one_after_the_other(ledger: Ledger) -> None:
    ledger.plan("book", Reset(), 2, {})
    ledger.plan("b*", DropAnswer(), 1, {})
    assert names(ledger, "search", 1) == [None]
    assert names(ledger, "book", 4) == ["Reset", "Reset", "DropAnswer", None]
    assert [one.fault for one in ledger.attempts("book")] == ["Reset", "Reset", "DropAnswer", None]


def test_a_fault_can_be_for_calls_with_certain_arguments(ledger: Ledger) -> None:
    ledger.plan("*", Reset(), None, {"item": "bed"})
    assert names(ledger, "book", 1, item="table") == names(ledger, "book", 1) == [None]
    assert names(ledger, "book", 3, item="bed", more="x") == ["Reset"] * 3
    ledger.heal()
    assert names(ledger, "book", 1, item="bed") == [None]


def test_a_glob_means_tools_and_other_requests_are_named(ledger: Ledger) -> None:
    ledger.plan("*", Reset(), None, {})
    assert names(ledger, "tools/list", 1) == [None]
    ledger.plan("tools/list", ServerError(), 1, {})
    assert names(ledger, "tools/list", 2) == ["ServerError", None]
    assert [one.tool for one in ledger.attempts("tools/list")] == ["tools/list"] * 3
    assert ledger.attempts() == []


def test_what_is_scheduled_and_done_survives_the_process(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "l.sqlite")
    first.plan("book", Reset(after_effect=True), 1, {})
    first.performed("pay", "k", {"item": "bed"})
    first.close()
    second = Ledger(tmp_path / "l.sqlite")
    assert second.arrived("book", None, {}) == Reset(after_effect=True)
    assert [(one.tool, one.key) for one in second.effects()] == [("pay", "k")]


def test_a_mix_draws_the_same_for_the_same_seed_and_about_its_shares(ledger: Ledger, tmp_path: Path) -> None:
    mix = Mix(seed=3, reset=0.25, delay=0.25, delay_s=0.1)
    ledger.plan("*", mix, None, {})
    drawn = [ledger.arrived("book", None, {}) for _ in range(400)]
    again = Ledger(tmp_path / "again.sqlite")
    again.plan("*", mix, None, {})
    assert [again.arrived("pay", "k", {}) for _ in range(400)] == drawn
    assert 70 < sum(isinstance(one, Reset) for one in drawn) < 130
    delays = [one for one in drawn if isinstance(one, Delay)]
    assert 70 < len(delays) < 130
    assert all(0 <= one.seconds <= 0.1 for one in delays)
    assert {one.after_effect for one in delays} == {True, False}
    assert [Mix(seed=4, reset=0.5).draw(n) for n in range(99)] != [Mix(seed=5, reset=0.5).draw(n) for n in range(99)]


def test_a_mix_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="reset must be between 0 and 1"):
        Mix(reset=1.5)
    with pytest.raises(ValueError, match=r"add up to 1\.1, more than 1"):
        Mix(reset=0.6, delay=0.5)


@pytest.mark.parametrize("fault", [kind() for kind in LOTS.values()] + [TooManyRequests(9), Delay(True, 0.5)], ids=str)
def test_a_fault_comes_back_from_the_ledger_as_it_was(fault: AnyFault) -> None:
    assert restored(stored(fault)) == fault
