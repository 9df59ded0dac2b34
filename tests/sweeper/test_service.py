"""`surefoot sweeper`: a service with metrics and health, or one sweep with a report."""

import json
import signal
from pathlib import Path

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from tests.embedded.test_leftovers import killed
from tests.state.test_sweep import JOB, OTHER, PAIR, let_lease_run_out
from tests.support.waiting import wait_until
from tests.sweeper.conftest import Service, get


def test_once_prints_a_counted_report(service: Service) -> None:
    stores = service.stores
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    asked = Question("b/call-1", "call-1", "did it happen?", "in_doubt", "b")
    do(stores.steps.park(stores.claim(JOB, "b"), [asked]))
    killed(service.folder / "home")

    done = service.command("--once", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["lost_leases"], report["redriven"]) == (1, [f"{JOB}.a"])
    assert (report["calls_in_doubt"], report["jobs_in_doubt"]) == (1, 1)
    assert report["oldest_doubt_s"] > 0
    assert {Path(name).name for name in report["removed_files"]} >= {"embedded.json", "embedded.lock", "fleet.lock"}
    assert stores.command("LLEN", keys.redrive_queue("a")) == 1
    done = service.command("--once", metrics_port="")
    assert "lost leases             0\n" in done.stdout


def test_what_is_wrong_is_said_with_an_exit_code(service: Service) -> None:
    taken = service.start()[1]
    for words, settings, code, said in (
        (("--once",), {"redis_url": "redis://127.0.0.1:1", "redis_patience_s": 0}, 1, "Redis does not answer"),
        (("--json",), {}, 2, "--json needs --once"),
        ((), {"metrics_port": taken}, 2, f"SUREFOOT_METRICS_PORT={taken}"),
    ):
        done = service.command(*words, **settings)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_the_service_is_well_counts_and_ends_in_order(service: Service) -> None:
    stores = service.stores
    killed(service.folder / "home")
    process, port = service.start(sweep_s=0.1)
    wait_until(lambda: not list((service.folder / "home").glob("*.lock")), "what a dead fleet left is removed")
    stores.open(PAIR, JOB)
    stores.open(Plan([Step("a", f"s{i}") for i in range(3)]), OTHER)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    wait_until(lambda: stores.command("LLEN", keys.redrive_queue("a")) == 1, "it is re-driven")

    def page() -> set[str]:
        status, text = get(port, "/metrics")
        assert status == 200
        return {line for line in text.splitlines() if not line.startswith("#")}

    expected = {
        'surefoot_sweep_findings_total{surefoot_finding="lost_leases"} 1.0',
        "surefoot_redrives_total 1.0",
        'surefoot_jobs{surefoot_job_status="running"} 1.0',
        'surefoot_jobs{surefoot_job_status="queued"} 1.0',
        'surefoot_jobs{surefoot_job_status="failed"} 0.0',
        'surefoot_queue_depth{surefoot_queue="a"} 3.0',
        'surefoot_queue_depth{surefoot_queue="b"} 1.0',
        "surefoot_leases 0.0",
        "surefoot_steps_again 1.0",
        "surefoot_calls_in_doubt 0.0",
        "surefoot_jobs_in_doubt 0.0",
    }
    wait_until(lambda: expected <= page(), f"all is counted: {expected - page()}")
    names = {line.partition("{")[0].partition(" ")[0] for line in page()}
    assert {
        "surefoot_sweeps_total",
        "surefoot_sweep_duration_seconds_count",
        "surefoot_queue_oldest_wait_seconds",
    } <= names
    assert get(port, "/else")[0] == 404
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert get(port, "/healthz")[0] == 0


def test_a_service_without_redis_is_not_well_and_says_why(service: Service) -> None:
    process, port = service.start(redis_patience_s=1)
    service.server.process.kill()
    service.server.process.wait()
    wait_until(lambda: get(port, "/healthz")[0] == 503, "it is not well")
    assert "Redis does not answer" in get(port, "/healthz")[1]
    assert get(port, "/metrics")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_several_sweepers_redrive_each_of_a_thousand_steps_once(service: Service) -> None:
    stores = service.stores
    processes = [service.start(sweep_s=0.05, grace_s=60)[0] for _ in range(3)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    stores.open(Plan([Step("a", f"s{i}") for i in range(1_000)]), JOB)
    for i in range(1_000):  # a worker with a thousand leases dies
        let_lease_run_out(stores, stores.claim(JOB, f"s{i}"))
    for process in processes:
        process.send_signal(signal.SIGCONT)
    wait_until(lambda: stores.command("ZCARD", keys.INDEXES["leases"]) == 0, "all are found")
    redriven = stores.command("LRANGE", keys.redrive_queue("a"), 0, -1)
    steps = {message.partition(b'"id": "')[2].partition(b'"')[0] for message in redriven}
    assert (len(redriven), len(steps)) == (1_000, 1_000)
