"""Secrets are planted wherever a setting, a server or a job has room for one, and looked for in all that comes out."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping

import pytest
from typer.testing import CliRunner

from orchestrator import Job, SurefootError
from orchestrator.cli import app, main
from orchestrator.telemetry.names import REDACTED_MARK
from tests.flower.conftest import Page
from tests.flower.plants import PLANTS, forms, heard
from tests.support.stage import ROOT
from tests.support.waiting import wait_until
from tools.testing.model import Talks

pytestmark = pytest.mark.xdist_group("flower")
PATHS = ("/", "/workers", "/tasks", "/broker", "/api/tasks", "/api/workers", "/api/queues/length", "/metrics")
JOBS = ("confided", "vault", "safe")


def found(text: str) -> set[str]:
    """The places whose secret stands in a text, in any form."""
    return {place for place, secret in PLANTS.items() if any(form in text for form in forms(secret))}


def leaks(texts: Mapping[str, str]) -> dict[str, set[str]]:
    return {where: places for where, text in texts.items() if (places := found(text))}


def surefoot(page: Page, *words: str, **settings: str) -> str:
    """What a command says, in this process."""
    done = CliRunner().invoke(app, words, env={**page.stage.environment, **settings})
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    return done.output


def shown(page: Page, jobs: Iterable[Job]) -> dict[str, str]:
    """What all commands that read say, for people and for programs."""
    commands = [(word, job.id) for job in jobs for word in ("show", "trace", "watch")]
    said = {words: surefoot(page, *words) for words in [*commands, ("jobs",), ("top", "--once")]}
    told = {words: surefoot(page, *words, "--json") for words in said}
    for text in told.values():
        [json.loads(line) for line in text.splitlines()] if text.startswith('{"') else json.loads(text)
    return {" ".join(words): said[words] + told[words] for words in said}


def refused(page: Page, *words: str, **settings: str) -> str:
    """What the command says that ends in an error, by its own way in."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["surefoot", *words])
        for name, value in {**page.stage.environment, **settings}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as left:
            main()
    assert left.value.code == 1
    return said.getvalue()


@pytest.fixture(scope="module")
def asked(page: Page, cancelled: str) -> dict[str, Job]:
    """The jobs that spread them; the first has had one answer and asks for approval."""
    page.model.says(Talks(f"no such key: {PLANTS['model key']}"))
    request, tenant = {"password": PLANTS["request"]}, f"password={PLANTS['tenant']}"
    jobs = {name: page.stage.app.submit({"item": name, **request}, workflow="betrayed") for name in JOBS[1:]}
    jobs["confided"] = first = page.stage.app.submit({"item": "tea", **request}, workflow="confided", tenant=tenant)
    wait_until(lambda: first.status == "waiting", "it asks for the pin", 60)
    first.answer(pin=PLANTS["answered"])
    wait_until(lambda: [one.kind for one in first.questions] == ["approval"], "it asks for approval")
    return jobs


@pytest.fixture(scope="module")
def while_it_asks(page: Page, asked: dict[str, Job]) -> dict[str, str]:
    """What the commands say of a job that asks."""
    return shown(page, [asked["confided"]])


@pytest.fixture(scope="module")
def ended(page: Page, asked: dict[str, Job], while_it_asks: dict[str, str]) -> dict[str, Job]:
    """The same, when they have failed and their spans are kept."""
    asked["confided"].approve(asked["confided"].questions[0].id)
    for name, job in asked.items():
        with contextlib.suppress(SurefootError):
            job.result(60)
        last = "blurting" if name == "confided" else "betrayed"
        page.task(f"{job.id}.{last}", "FAILURE")
        wait_until(lambda job=job, last=last: f"invoke_agent {last}".encode() in b"".join(job.spans), "spans are kept")
    return asked


def test_each_of_them_has_arrived_where_it_was_planted(page: Page, ended: dict[str, Job]) -> None:
    inside = [f"{job.record.fields}{job.calls}" for job in ended.values()]
    arrived = found(" ".join([*inside, json.dumps(page.model.requests), json.dumps(heard)]))
    of_processes = {"redis", "otlp", "broker", "model key", "server env", "server argument"}
    assert PLANTS.keys() - arrived == of_processes | {"logged", "printed", "emitted"}


def test_none_is_in_what_the_commands_say(page: Page, ended: dict[str, Job], while_it_asks: dict[str, str]) -> None:
    texts = {f"{words}, asking": text for words, text in while_it_asks.items()} | shown(page, ended.values())
    assert leaks(texts) == {}
    assert REDACTED_MARK in texts[f"show {ended['confided'].id}"]


def test_none_is_in_a_span_a_metric_or_an_event(page: Page, ended: dict[str, Job]) -> None:
    wait_until(lambda: b"betrayed" in page.received.get("/v1/metrics", b""), "metrics have arrived")
    wait_until(lambda: b"invoke_agent blurting" in page.received.get("/v1/traces", b""), "spans have arrived")
    said = f"signing in with password={REDACTED_MARK}"
    wait_until(lambda: said.encode() in page.received.get("/v1/logs", b""), "log lines have arrived")
    texts = {path: body.decode(errors="replace") for path, body in page.received.items()}
    for name, job in ended.items():
        texts |= {f"spans of {name}": b"".join(job.spans).decode(), f"events of {name}": str(list(job.events()))}
    assert leaks(texts) == {}
    assert f"signed in, token={REDACTED_MARK}" in texts["events of confided"]
    for where in ("/v1/traces", "spans of confided", "events of confided"):
        assert REDACTED_MARK in texts[where]


def test_none_is_in_a_log(page: Page, ended: dict[str, Job]) -> None:
    texts = {path.name: path.read_text() for path in page.stage.folder.glob("*.log")}
    assert leaks(texts) == {}
    lines = [json.loads(line) for line in texts["worker-1.log"].splitlines() if line.startswith("{")]
    mine = {line["event"] for line in lines if line.get("job") == ended["confided"].id}
    assert {f"signing in with password={REDACTED_MARK}", f"password={REDACTED_MARK}"} <= mine
    assert any("cannot sign in" in line.get("exception", "") for line in lines)


@pytest.mark.usefixtures("ended")
def test_none_is_in_what_the_doctor_finds(page: Page) -> None:
    away = f"amqp://me:{PLANTS['broker']}@127.0.0.1:1/"
    text = surefoot(page, "doctor", "--json", SUREFOOT_BROKER_URL=away)
    assert found(text) == set()
    assert {check["check"] for check in json.loads(text) if not check["ok"]} == {"Redis", "broker"}, text


def test_none_is_on_a_page_of_flower(page: Page, ended: dict[str, Job]) -> None:
    tasks = page.found("")
    texts = {path: page.get(path) for path in (*PATHS, *(f"/task/{one['uuid']}" for one in tasks))}
    texts["found"] = json.dumps(tasks)
    assert leaks(texts) == {}
    assert REDACTED_MARK in texts[f"/task/{ended['confided'].id}.blurting"]


def test_what_a_server_signs_in_with_does_not_even_reach_the_job(ended: dict[str, Job]) -> None:
    own = {"header", "api key header", "server env", "server argument"}
    inside = [f"{job.record.fields}{job.calls}" for job in ended.values()]
    assert own & found(" ".join(inside)) == set()
    assert all(REDACTED_MARK in text for text in inside)


def test_none_is_in_an_error_of_a_command(page: Page, ended: dict[str, Job]) -> None:
    away = f"://me:{PLANTS['broker']}@127.0.0.1:1/"
    command, wrong = [sys.executable, "-m", "workers"], {**page.stage.environment, "SUREFOOT_REDIS_URL": f"redi{away}"}
    worker = subprocess.run(command, env=wrong, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    texts = {
        "setting": refused(page, "jobs", SUREFOOT_OTLP_ENDPOINT=f"htp{away}"),
        "crash": refused(page, "jobs", SUREFOOT_WORKFLOWS="tests.flower.crashing"),
        "worker": worker.stdout + worker.stderr,
    }
    assert leaks(texts) == {}
    assert "SUREFOOT_OTLP_ENDPOINT" in texts["setting"]
    assert f"RuntimeError: cannot sign in with {REDACTED_MARK}" in texts["crash"]
    assert (worker.returncode, "SUREFOOT_REDIS_URL" in texts["worker"]) == (2, True), texts["worker"]
