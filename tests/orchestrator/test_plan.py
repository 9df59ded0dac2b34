"""Any acyclic plan: its waves, its numbers, and what comes back from the record; and what is no plan."""

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import InvalidRequest, Orchestrator, Plan, Step
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import NewJob

CEILINGS = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def steps(draw: st.DrawFn, most: int = 20) -> list[Step]:
    """Steps without a cycle, declared in any order."""
    names = draw(st.lists(st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=most, unique=True))
    made: list[Step] = []
    for i, name in enumerate(names):
        after = draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=4)) if i else []
        arguments = draw(st.dictionaries(TEXT, JSON, max_size=2))
        made.append(Step(draw(st.sampled_from("abcd")), name, after, arguments, draw(st.booleans())))
    return draw(st.permutations(made))


@given(steps())
def test_each_wave_waits_for_the_one_before_and_for_none_behind(made: list[Step]) -> None:
    plan = Plan(made)
    depth = {name: i for i, wave in enumerate(plan.waves) for name in wave}
    assert sorted(depth) == sorted(plan.by_name)
    for step in made:
        assert depth[step.name] == 1 + max((depth[dep] for dep in step.after), default=-1)
    declared = [step.name for step in made]
    for wave in plan.waves:
        assert list(wave) == sorted(wave, key=declared.index)


@given(steps())
def test_numbers_are_one_to_n_and_nobody_is_numbered_before_what_it_needs(made: list[Step]) -> None:
    plan = Plan(made)
    assert list(plan.numbers.values()) == list(range(1, len(made) + 1))
    assert all(plan.numbers[dep] < plan.numbers[step.name] for step in made for dep in step.after)
    assert Plan(made).numbers == plan.numbers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps())
def test_a_plan_comes_back_from_the_record_as_it_was(front: Orchestrator, made: list[Step]) -> None:
    plan, job_id, jobs = Plan(made), uuid.uuid4().hex, front._desk.jobs  # pyright: ignore[reportPrivateUsage]
    do(jobs.open(NewJob(job_id, "w", "t", {}, CEILINGS, plan=plan)))
    record = do(jobs.read(job_id))
    assert record.plan() == plan
    assert {step.name: step.number for step in record.steps()} == plan.numbers
    assert [step.number for step in record.steps()] == list(range(1, len(made) + 1))
    assert do(jobs.read(job_id)).fields["left"] == str(len(made))


@given(steps(most=8), st.data())
def test_a_cycle_is_refused_and_named(made: list[Step], data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(made))
    behind = data.draw(st.sampled_from(made))
    while first.name not in _before(behind, made) | {behind.name}:
        behind = first
    looped = [
        Step(step.specialist, step.name, (*step.after, behind.name)) if step.name == first.name else step
        for step in made
    ]
    with pytest.raises(InvalidRequest, match=f"cycle: .*{first.name}"):
        Plan(looped)


def _before(step: Step, made: list[Step]) -> set[str]:
    by_name, found, left = {each.name: each for each in made}, set[str](), list(step.after)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += by_name[name].after
    return found


@given(st.text(max_size=70))
def test_a_name_is_taken_as_it_is_or_refused(name: str) -> None:
    good = 1 <= len(name) <= 64 and all(c in "abcdefghijklmnopqrstuvwxyz0123456789_-" for c in name)
    if good:
        assert Step("a", name).name == name
    elif name:  # without a name it has its specialist's
        with pytest.raises(InvalidRequest, match="use 1 to 64 of a-z, 0-9"):
            Step("a", name)


@pytest.mark.parametrize("name", ["a\n", "a.b", "a:b", "{0}", "Ä", "a b", "a" * 65, "@job@", "١"])
def test_names_that_would_break_a_key_or_a_message_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="use 1 to 64"):
        Step("a", name)
    with pytest.raises(InvalidRequest, match="use 1 to 64"):
        Step(name, "a")


def test_the_largest_plan_is_taken_and_one_more_is_not(front: Orchestrator) -> None:
    many = [Step("a", f"s{i}", [f"s{i - 1}"] if i % 2 else [], optional=False) for i in range(2_000)]
    jobs, job_id = front._desk.jobs, uuid.uuid4().hex  # pyright: ignore[reportPrivateUsage]
    do(jobs.open(NewJob(job_id, "w", "t", {}, CEILINGS, plan=Plan(many))))
    assert do(jobs.read(job_id)).plan() == Plan(many)
    with pytest.raises(InvalidRequest, match="at most 2000 steps, this one has 2001"):
        Plan([*many, Step("a", "one-more")])


def test_a_plan_in_which_all_wait_for_all_before_is_taken(front: Orchestrator) -> None:
    names = [f"s{i}" for i in range(300)]
    plan = Plan([Step("a", name, names[:i], optional=False) for i, name in enumerate(names)])
    assert len(plan.waves) == 300
    jobs, job_id = front._desk.jobs, uuid.uuid4().hex  # pyright: ignore[reportPrivateUsage]
    do(jobs.open(NewJob(job_id, "w", "t", {}, CEILINGS, plan=plan)))
    assert do(jobs.read(job_id)).plan() == plan


def test_a_dependency_named_twice_is_one() -> None:
    assert Step("a", after=["b", "c", "b"]).after == ("b", "c")
