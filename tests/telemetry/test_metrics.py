"""Metrics: one table, a page, OTLP; and nothing at all where nobody looks."""

import os
import re
import subprocess
import sys
import threading
from typing import Any
from weakref import WeakSet

import pytest
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from structlog.testing import capture_logs

from orchestrator.settings import load
from orchestrator.telemetry import batches
from orchestrator.telemetry.metering import Sending
from orchestrator.telemetry.metrics import TABLE, Readings, start
from orchestrator.telemetry.names import QUEUE, Metric
from tests.support.waiting import wait_until
from tests.telemetry.collecting import COLLECTORS, new_job, recording


def test_every_metric_is_declared_once() -> None:
    assert set(TABLE) == set(Metric)
    assert all(what.says and what.unit for what in TABLE.values())


def test_where_nobody_looks_nothing_is_loaded() -> None:
    program = (
        "import sys; from orchestrator.settings import load; from orchestrator.telemetry import metrics\n"
        "m = metrics.start(load(), 'x'); m.add(metrics.Metric.SWEEPS); m.record(metrics.Metric.SWEEP_DURATION, 1)\n"
        "m.watch(metrics.Metric.LEASES, look=lambda: 1 / 0); assert m.page() == b''; m.stop()\n"
        "print([name for name in ('orchestrator.telemetry.metering', 'prometheus_client') if name in sys.modules])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_page_shows_what_was_counted_and_gauges_as_they_are_now() -> None:
    metrics = start(load(metrics_port=9_464), "surefoot-test")
    depths = {"a": 3.0, "b": 1.0}

    def look() -> Readings:
        return {Metric.QUEUE_DEPTH: [(depth, {QUEUE: queue}) for queue, depth in depths.items()]}

    metrics.watch(Metric.QUEUE_DEPTH, Metric.LEASES, look=look)
    metrics.add(Metric.REDRIVES, 2)
    metrics.record(Metric.SWEEP_DURATION, 0.003)
    assert "surefoot_redrives_total 2.0\n" in metrics.page().decode()
    assert 'surefoot_sweep_duration_seconds_bucket{le="0.005"} 1.0\n' in metrics.page().decode()
    assert 'surefoot_queue_depth{surefoot_queue="b"} 1.0\n' in metrics.page().decode()
    assert "surefoot_leases" not in metrics.page().decode(), "what is not known is not shown"
    del depths["b"]
    wait_until(lambda: b'surefoot_queue="b"' not in metrics.page(), "a queue that is gone is not shown")
    metrics.stop()
    metrics.stop()


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_metrics_go_to_the_collector_that_spans_go_to(protocol: str) -> None:
    with COLLECTORS[protocol]() as intake:
        for ending in ("", "/", "/v1/traces") if protocol == "http" else ("",):
            metrics = start(load(otlp_endpoint=f"{intake.url}{ending}"), "surefoot-test")
            metrics.add(Metric.SWEEPS)
            metrics.record(Metric.SWEEP_DURATION, 0.2)
            metrics.stop()
            got = {metric.name for metric in intake.metrics}
            assert {Metric.SWEEPS, Metric.SWEEP_DURATION} <= got
            intake.metrics.clear()


FORKS = """
import os, signal, sys
from orchestrator.settings import Settings
from orchestrator.telemetry.metrics import start
from orchestrator.telemetry.names import Metric
metrics = start(Settings(otlp_endpoint=sys.argv[1]), "surefoot-test")
metrics.add(Metric.SWEEPS)
metrics._meters._provider.force_flush()  # so that it has a connection when it forks
pid = os.fork()
signal.alarm(30)  # neither is left behind
if pid == 0:
    metrics.add(Metric.SWEEPS, 100)
    metrics.stop()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
metrics.add(Metric.SWEEPS)
metrics.stop()
"""


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_a_forked_child_does_not_export_its_parents_numbers(protocol: str) -> None:
    with COLLECTORS[protocol]() as intake:
        subprocess.run([sys.executable, "-c", FORKS, intake.url], check=True, timeout=60)
        sweeps = [metric.sum.data_points[0] for metric in intake.metrics if metric.name == Metric.SWEEPS]
        assert [point.as_int or point.as_double for point in sweeps] == [1, 2], "before the fork, and when it ends"


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_collector_that_is_down_holds_nobody_up_and_is_told_of_once(scheme: str) -> None:
    with capture_logs() as told:
        metrics = start(load(otlp_endpoint=f"{scheme}://127.0.0.1:1"), "surefoot-test")
        metrics.add(Metric.SWEEPS)
        ended = threading.Thread(target=metrics.stop, daemon=True)
        ended.start()
        ended.join(60)
        assert not ended.is_alive()
    assert [line["event"] for line in told] == ["metrics are not taken"]


def test_it_is_said_once_that_metrics_are_not_taken_and_once_that_they_are_again() -> None:
    answers = iter([*[MetricExportResult.FAILURE] * 3, *[MetricExportResult.SUCCESS] * 2])

    def answer(_data: MetricsData) -> MetricExportResult:
        return next(answers)

    send = Sending("there", answer)
    with capture_logs() as told:
        assert [send(MetricsData([])).name for _ in range(5)] == [*["FAILURE"] * 3, *["SUCCESS"] * 2]
    assert [line["event"] for line in told] == ["metrics are not taken", "metrics are taken again"]


def test_spans_that_nobody_takes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_alive", WeakSet[Any]())  # none of an earlier test
    metrics = start(load(metrics_port=9_464), "surefoot-test")
    with recording("http://127.0.0.1:1") as (telemetry, _):
        with telemetry.spans.open_job(new_job(), "trip"):
            pass
        wait_until(lambda: telemetry.lost == 1, "the span is lost")
        line = re.compile(r'surefoot_telemetry_lost_total{surefoot_carried="spans",surefoot_destination="(.+)"} (.+)')

        def lost() -> dict[str, float]:
            return {to: float(count) for to, count in line.findall(metrics.page().decode())}

        wait_until(lambda: lost()["otlp"] == 1, "it is counted")
        assert lost()["the job store"] == 0, "shown from the start"
