"""A step whose effects were undone is no ground to go on from."""

import pytest

from orchestrator import InvalidRequest
from tests.support.stage import Stage
from tests.support.waiting import wait_until
from tests.undo.test_undo import done, ends, waiting


def test_a_cancelled_job_is_forked_before_what_was_undone_and_not_behind_it(played: Stage) -> None:
    job, item = waiting(played, "grown")
    job.cancel()
    ends(job)
    with pytest.raises(InvalidRequest, match="cannot be forked after 'grown-a': what it did was undone"):
        job.fork(after="grown-a")
    second = job.fork(after="sprouting")
    wait_until(lambda: second.status == "waiting", "it asks")
    assert [what for what in done(played, item) if not what.startswith("no")].count(f"{item} grown-a") == 2
    second.cancel()
    assert "undone: 2" in ends(second)
