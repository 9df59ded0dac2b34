"""Plans that grow while they run, from several steps at once."""

from orchestrator import Plan, Step
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending, growth
from orchestrator.status import JobStatus
from tests.state.conftest import Stores

JOB = "0" * 31 + "3"
DONE = Ending("succeeded", {"ok": 1})


def test_two_steps_that_grow_at_once_add_no_step_twice(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b"), Step("d", after=["a", "b"])]), JOB)
    first, second = stores.claim(JOB, "a"), stores.claim(JOB, "b")
    seen = do(stores.jobs.read(JOB))  # both plans are made before either is stored
    growths = [growth(seen, name, [(Step("c"), ["d"])]) for name in "ab"]

    assert do(stores.steps.commit(first, Ending("succeeded", 1, growth=growths[0]))).answer == "OK"
    once = stores.dump()
    refused = do(stores.steps.commit(second, Ending("succeeded", 1, growth=growths[1])))
    assert (refused.answer, refused.why) == ("REFUSED", "c is in the plan already")
    assert stores.dump() == once

    do(stores.steps.commit(second, DONE))
    for name in "cd":
        do(stores.steps.commit(stores.claim(JOB, name), DONE))
    record = do(stores.jobs.read(JOB))
    assert (record.status, record.fields["total"], record.fields["left"]) == (JobStatus.SUCCEEDED, "4", "0")


def test_two_steps_that_grow_by_different_steps_are_joined_by_one(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b"), Step("d", after=["a", "b"])]), JOB)
    leases = {name: stores.claim(JOB, name) for name in "ab"}
    seen = do(stores.jobs.read(JOB))
    for name in "ab":
        grown = growth(seen, name, [(Step("c", name=f"{name}-more"), ["d"])])
        assert do(stores.steps.commit(leases[name], Ending("succeeded", 1, growth=grown))).ready == {
            f"{name}-more": "c"
        }

    assert do(stores.steps.commit(stores.claim(JOB, "a-more"), DONE)).ready == {}
    assert do(stores.steps.commit(stores.claim(JOB, "b-more"), DONE)).ready == {"d": "d"}
    claim = do(stores.steps.claim(JOB, "d"))
    assert set(claim.inputs) == {"a", "b", "a-more", "b-more"}
