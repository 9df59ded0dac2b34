"""docker-compose.yml fits the Compose specification; every command and health check in it runs as a plain process."""

import re
from collections.abc import Generator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from compose_spec.models import ComposeSpecification

from orchestrator import Orchestrator
from orchestrator.settings import load
from tests.deploy.plain import FILE, SECRETS, SERVICES, TOOLS, Plain, interpolated
from tests.support.stage import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("compose")
TEXT = (ROOT / "docker-compose.yml").read_text()
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "surefoot"}
JOB = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"


@pytest.fixture
def plain(tmp_path: Path, flight_data: Path) -> Generator[Plain]:
    del flight_data
    started = Plain(tmp_path)
    yield started
    started.stop()


def test_the_file_fits_the_specification() -> None:
    assert ComposeSpecification.model_validate(FILE).name == "surefoot"


def test_no_secret_has_a_default() -> None:
    for name in SECRETS:
        assert set(re.findall(rf"\$\{{{name}([^}}]*)\}}", TEXT)) == {":?put it into .env"}
        with pytest.raises(AssertionError, match="put it into"):
            interpolated(TEXT, {**SECRETS, name: ""})
    assert "${" not in interpolated(TEXT, SECRETS), "nothing but the secrets has to be set"


def test_no_secret_is_on_a_command_line() -> None:
    for service in SERVICES.values():
        command = interpolated(" ".join(service.get("command", [])), SECRETS)
        assert not any(secret in command for secret in SECRETS.values())


def test_nothing_is_published_beyond_loopback() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert set(published) == {"valkey", "flower"}
    assert all(port.startswith("127.0.0.1:") for port in published.values())


def test_everything_is_restarted_and_watched() -> None:
    assert set(OURS) == {*TOOLS, "worker", "worker-prefork", "sweeper", "flower"}
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped", name
        assert ("healthcheck" in service) == (name != "collector"), name


def test_nothing_of_ours_may_do_more_than_it_needs() -> None:
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_a_worker_has_the_time_that_its_stop_may_take() -> None:
    for name in ("worker", "worker-prefork"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > load().stopped_within_s


def test_services_that_scale_have_neither_name_nor_port() -> None:
    for name in ("worker", "worker-prefork"):
        assert not {"container_name", "hostname", "ports"} & set(SERVICES[name])


def test_every_volume_and_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in FILE["volumes"] or (ROOT / source).exists(), mount


def test_the_orchestrator_and_the_collector_mean_the_same_port() -> None:
    endpoint = FILE["x-environment"]["SUREFOOT_OTLP_ENDPOINT"]
    assert f"0.0.0.0:{endpoint.rpartition(':')[2]}" in (ROOT / "deploy/otel-collector.yaml").read_text()


def test_every_command_and_health_check_runs(plain: Plain) -> None:
    for name in ("valkey", *TOOLS, "worker", "sweeper", "flower"):
        assert name == "valkey" or not plain.healthy(name), f"{name} is not healthy before it runs"
        plain.start(name)
        if name == "valkey":
            wait_until(lambda: plain.healthy("valkey"), "valkey is healthy")
    for name in ("valkey", *TOOLS, "worker", "sweeper", "flower"):
        wait_until(lambda name=name: plain.healthy(name), f"{name} is healthy: {plain.folder / name}.log", 60)
    app = Orchestrator(redis_url=plain.redis_url, trace=False)
    assert len(app.submit(JOB).result(90)["bookings"]) == 6
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"http://127.0.0.1:{plain.ports['flower']}/workers", timeout=5)
    for name in ("flower", "sweeper", "worker"):
        assert plain.end(name) == 0, f"{name} ends in order at SIGTERM"


def test_the_second_pool_does_the_same_work(plain: Plain) -> None:
    for name in ("valkey", *TOOLS):
        plain.start(name)
        wait_until(lambda name=name: plain.healthy(name), f"{name} is healthy: {plain.folder / name}.log", 60)
    plain.start("worker-prefork")
    wait_until(lambda: plain.healthy("worker-prefork"), "the second pool is healthy", 60)
    app = Orchestrator(redis_url=plain.redis_url, trace=False)
    assert len(app.submit(JOB).result(90)["bookings"]) == 6
