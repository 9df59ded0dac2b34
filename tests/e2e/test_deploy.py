"""New code is deployed while old jobs are under way: they run, or are refused with a reason and go on later."""

from pathlib import Path
from signal import SIGTERM

import pytest
from redis import Redis

from orchestrator import JobFailed
from orchestrator.state import keys
from tests.support import releases
from tests.support.stage import stage
from tests.support.waiting import wait_until


def test_jobs_of_an_old_release_run_or_are_refused_and_go_on_after_going_back(tmp_path: Path) -> None:
    assert not releases.SECOND  # this process submits as the first release
    with stage(tmp_path, workflows="tests.support.releases", unknown_s=0.5, version="1.0") as played:
        names = ("parcel", "labelled", "weighed", "parcel")
        parcel, labelled, weighed, foreign = [played.app.submit({"item": "book"}, workflow=name) for name in names]
        redis = Redis(unix_socket_path=str(played.server.socket))
        redis.hset(keys.job(foreign.id), "format", "999")
        before = redis.hgetall(keys.job(foreign.id))

        played.environment |= {"TEST_RELEASE": "2", "SUREFOOT_VERSION": "2.0"}
        second = played.worker()

        # the plan stays as submitted, an accepted request is not judged again, an older output is read as plain data
        assert parcel.result(90) == {"pack": 2}
        assert [step.name for step in parcel.steps] == ["pack", "send"]

        # a request that the new code cannot read: the field and both versions are named
        with pytest.raises(JobFailed, match=r"weight: Field required; the job was submitted .*1\.0; this worker: 2\.0"):
            labelled.result(90)

        # a specialist that the new code lacks: others get their time, then the job fails without an attempt
        with pytest.raises(JobFailed, match=r"knows the specialist 'weigh'"):
            weighed.result(90)
        assert weighed.steps[0].attempts == 0

        # a record of another format: nothing is touched
        wait_until(lambda: b"left to a worker of another version" in played.log(1), "the worker met the record")
        assert redis.hgetall(keys.job(foreign.id)) == before

        second.send_signal(SIGTERM)
        second.wait(60)
        played.environment |= {"TEST_RELEASE": "1", "SUREFOOT_VERSION": "1.0"}
        redis.hset(keys.job(foreign.id), "format", keys.FORMAT)
        played.worker()
        labelled.resume()
        weighed.resume()
        assert labelled.result(90) == {"label": "book"}
        assert weighed.result(90) == {"packed": "book", "release": 1}
        assert foreign.result(90) == {"pack": 1}
