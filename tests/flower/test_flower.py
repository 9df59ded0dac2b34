"""Flower on a real broker with a real worker: what each end of a step looks like there, and how it is found."""

from collections.abc import Iterator

import pytest

from orchestrator import JobFailed
from orchestrator.application import application
from orchestrator.canvas import Canvas
from orchestrator.settings import load
from tests.flower.conftest import Page
from tests.support.browser import Tab, browser
from tests.support.flows import Order
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("flower")


def test_a_step_that_succeeded_is_found_by_job_and_by_place(page: Page, cancelled: str) -> None:
    job = page.stage.app.submit(Order(item="bed"), workflow="journey")
    job.result(60)
    task = page.task(f"{job.id}.hotel", "SUCCESS")
    assert task["args"] == f"step 3 of 5 (hotel), job {job.id}"
    assert task["result"] == f"'step 3 of 5 done; surefoot show {job.id}'"
    by_both = page.found(f'"{job.id}" AND "step 3 of 5"')
    assert [one["uuid"] for one in by_both] == [f"{job.id}.hotel"]
    assert f"surefoot show {job.id}" in page.get(f"/task/{job.id}.hotel")


def test_a_step_that_failed_says_where_why_and_what_to_type(page: Page, cancelled: str) -> None:
    job = page.stage.app.submit(Order(item="bed"), workflow="broken")
    with pytest.raises(JobFailed):
        job.result(60)
    task = page.task(f"{job.id}.broken", "FAILURE")
    assert "step 2 of 3 (broken) failed: unhandled: RuntimeError: no bed; surefoot show " + job.id in task["exception"]


def test_a_step_that_was_left_out_is_no_success(page: Page, cancelled: str) -> None:
    task = page.task(f"{cancelled}.begin", "FAILURE")
    assert "step 1 of 5 (begin) skipped: the job is cancelled" in task["exception"]


def test_a_message_that_came_twice_had_nothing_to_do(page: Page, cancelled: str) -> None:
    job = page.stage.app.submit(Order(item="bed"), workflow="wide")
    job.result(60)
    page.task(f"{job.id}.s0", "SUCCESS")
    settings = load(redis_url=page.stage.environment["SUREFOOT_REDIS_URL"], events=True)
    Canvas(application(settings)).send_steps(job.id, {"s0": "begin"}, "")
    wait_until(lambda: page.found(f'"nothing to do" AND {job.id}'), "it came again")
    assert page.task(f"{job.id}.s0", "SUCCESS")["result"] == "'nothing to do: done succeeded'"


def test_a_step_that_is_tried_again_is_a_retry_with_its_reason(page: Page, cancelled: str) -> None:
    job = page.stage.app.submit(Order(item="bed", times=1, seconds=20), workflow="flaky")
    task = page.task(f"{job.id}.flaky", "RETRY")
    assert "step 1 of 1: " in task["exception"]
    assert task["args"].startswith("step 1 of 1 (flaky)")
    job.cancel()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


def test_in_a_browser_without_the_password_nothing_is_to_be_seen(page: Page, tab: Tab) -> None:
    tab.open(f"{page.flower.url}/tasks")
    wait_until(lambda: tab.status == 401, "the page is refused")
    assert "step" not in tab.text


def test_in_a_browser_a_job_is_found_and_its_page_has_the_command(page: Page, cancelled: str, tab: Tab) -> None:
    job = page.stage.app.submit(Order(item="bed"), workflow="broken")
    with pytest.raises(JobFailed):
        job.result(60)
    page.task(f"{job.id}.broken", "FAILURE")
    tab.open(page.flower.url.replace("http://", f"http://{page.flower.credentials}@") + "/tasks")
    tab.wait_for("step 1 of")
    for search in (job.id, f'{job.id} AND "step 2 of 3"'):
        tab.fill("input[type=search]", search)
        shown = tab.wait_for(f"step 2 of 3 (broken), job {job.id}")
        assert "FAILURE" in shown
    wait_until(lambda: cancelled not in tab.text, "only what was searched for is listed")
    tab.open(f"{page.flower.url}/task/{job.id}.broken")
    shown = tab.wait_for(f"surefoot show {job.id}")
    assert "step 2 of 3 (broken) failed: unhandled: RuntimeError: no bed" in shown
    tab.open(f"{page.flower.url}/workers")
    assert "Online" in tab.wait_for("w1@")
