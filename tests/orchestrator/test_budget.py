"""What is an amount, what is none, and what the ledger makes of it."""

# pyright: reportPrivateUsage=false

import decimal
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Budget, InvalidRequest
from orchestrator.budget import GLOB, KINDS, LARGEST, MICRO, Spend
from orchestrator.cli.jobs import _calls

COUNTED = ("steps", "tool_calls", "tokens", "answer_bytes")
MEASURED = ("seconds", "usd")


@pytest.mark.parametrize("amount", [-1, -0.000001, math.nan, math.inf, -math.inf, 1e30, 10**300, 2**60])
@pytest.mark.parametrize("kind", [*COUNTED, *MEASURED])
def test_what_cannot_be_counted_is_refused_by_name(kind: str, amount: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"budget {kind} must be"):
        Budget(**{kind: amount})


@pytest.mark.parametrize("kind", [*COUNTED, *MEASURED])
def test_a_number_that_no_float_can_hold_and_nobody_writes_down_is_refused(kind: str) -> None:
    for huge in (10**5_000, -(10**5_000)):
        for ceilings, problem in (
            ({kind: huge}, f"budget {kind} must be between 0 and .*, not a number of over 100 digits"),
            ({"tools": {"a.b": huge}}, "budget tools a.b must be between 0 and .*, not a number of over 100 digits"),
            ({"at_ceiling": huge}, "at_ceiling must be fail, ask or finish, not a number of over 100 digits"),
        ):
            with pytest.raises(InvalidRequest, match=problem):
                Budget.of(ceilings)
    with pytest.raises(InvalidRequest, match="say GLOB=CALLS"):
        _calls([f"a.b={'9' * 5_000}"])


@pytest.mark.parametrize("amount", [True, False, "5", "", b"5", [5], {}, 1j, decimal.Decimal(5), object()])
@pytest.mark.parametrize("kind", [*COUNTED, *MEASURED])
def test_what_is_no_number_is_refused_by_name(kind: str, amount: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"budget {kind} must be a .*number, not"):
        Budget(**{kind: amount})


@pytest.mark.parametrize("kind", COUNTED)
def test_what_is_counted_is_whole(kind: str) -> None:
    one: Any = 1.0
    with pytest.raises(InvalidRequest, match=r"must be a whole number, not 1\.0"):
        Budget(**{kind: one})


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_a_ceiling_and_none_is_no_ceiling(kind: str) -> None:
    assert Budget.of({kind: 0}).ceilings()[kind] == 0
    assert Budget().ceilings()[kind] == -1
    assert Budget(usd=-0.0).ceilings()["usd"] == 0


@given(st.integers(0, LARGEST // MICRO))
def test_whole_dollars_and_counts_are_exact(amount: int) -> None:
    ceilings = Budget(usd=amount, steps=amount).ceilings()
    assert (ceilings.pop("steps"), ceilings.pop("usd")) == (amount, amount * MICRO)
    assert set(ceilings.values()) == {-1}


@given(st.dictionaries(st.from_regex(GLOB, fullmatch=True), st.integers(0, 10**9), max_size=5))
def test_ceilings_of_tools_are_kinds_of_their_own_and_are_read_again(tools: dict[str, int]) -> None:
    ceilings = Budget(tools=tools).ceilings()
    assert {kind: top for kind, top in ceilings.items() if kind not in KINDS} == {
        f"tools/{glob}": calls for glob, calls in tools.items()
    }
    row = {f"max:{kind}": str(top) for kind, top in ceilings.items()}
    row["tools"] = "".join(f"tools/{glob}," for glob in tools)
    assert {glob: line.free for glob, line in Spend.read(row).tools.items()} == tools


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        ({"flights.book": -1}, "budget tools flights.book must be between 0 and"),
        ({"flights.book": 1.0}, "budget tools flights.book must be a whole number"),
        ({"flights.book": True}, "must be a whole number"),
        ({"": 1}, "'' is no <server>.<tool> and no glob"),
        ({"a,b": 1}, "'a,b' is no <server>.<tool>"),
        ({"a=b": 1}, "no glob of such names"),
        ({"a\n": 1}, "no glob of such names"),
        ({7.5: {}}, "7.5 is no <server>.<tool>"),
        ({5: 1}, "5 is no <server>.<tool>"),
        ({None: 1}, "None is no <server>.<tool>"),
        ({f"t{i}": 1 for i in range(51)}, "at most 50 tools or globs"),
        ([("a", 1)], "must map at most"),
    ],
)
def test_what_is_no_ceiling_of_tools_is_refused(tools: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        Budget(tools=tools)


@given(st.integers(0, 10**12))
def test_every_millionth_of_a_dollar_survives(micro: int) -> None:
    assert Budget(usd=micro / MICRO).ceilings()["usd"] == micro


@given(st.floats())
def test_any_float_is_money_or_refused(amount: float) -> None:
    try:
        ceiling = Budget(usd=amount).ceilings()["usd"]
    except InvalidRequest:
        assert not 0 <= amount <= LARGEST / MICRO
    else:
        assert 0 <= ceiling <= LARGEST
        assert abs(ceiling - amount * MICRO) <= 1


@pytest.mark.parametrize(
    ("given_", "problem"),
    [
        ({"stepps": 1}, "stepps.*its ceilings are steps, tool_calls, tools, tokens, input_tokens"),
        ({"usd": "1"}, "budget usd must be a number, not '1'"),
        ({1: 2}, "its ceilings are"),
        ("usd=1", "its ceilings are"),
        (5, "its ceilings are"),
        ([("usd", 1)], "its ceilings are"),
        *((nothing, "budget must be a Budget or a dict of ceilings, not") for nothing in (0, 0.0, False, "", [], ())),
        *(({"at_ceiling": what}, "at_ceiling must be fail, ask or finish") for what in ([], {}, ["ask"], 0, "")),
    ],
)
def test_what_is_no_budget_is_refused(given_: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        Budget.of(given_)


def test_a_budget_is_made_of_what_callers_pass() -> None:
    assert Budget.of(None) == Budget.of({}) == Budget()
    assert Budget.of({"usd": 1, "steps": None}) == Budget(usd=1)
    assert Budget.of(Budget(steps=3)) == Budget(steps=3)


@given(st.dictionaries(st.sampled_from(KINDS), st.tuples(*[st.integers(0, 10**9)] * 3)))
def test_the_ledger_reads_what_the_record_says(lines: dict[str, tuple[int, int, int]]) -> None:
    row: dict[str, str] = {}
    for kind, (spent, held, free) in lines.items():
        row |= {f"spent:{kind}": str(spent), f"held:{kind}": str(held), f"max:{kind}": str(spent + held + free)}
    spend = Spend.read(row)
    for kind in KINDS:
        line = getattr(spend, kind)
        spent, held, free = lines.get(kind, (0, 0, None))
        assert (line.spent, line.reserved, line.free) == (spent, held, free)
