"""Plans as Celery's canvas, and the scripts' messages as Celery and kombu read them."""

import json
from typing import Any

import pytest
from celery import signature
from celery.app.task import Context
from kombu.connection import Connection
from kombu.message import Message

from orchestrator import Orchestrator, Plan, Step
from orchestrator.application import Application, application
from orchestrator.canvas import Canvas, WireForms, task_name
from orchestrator.settings import load
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import JobStore, NewJob
from orchestrator.state.scripts import Scripts
from tests.support.valkey import Valkey

JOB = "0123456789abcdef" * 2
TRACE = f"00-{JOB}-{JOB[:16]}-01"
CEILINGS = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}


def wave(letter: str, count: int, after: list[str] | None = None, specialist: str = "a") -> list[Step]:
    return [Step(specialist, f"{letter}{i}", after or []) for i in range(count)]


def named(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


THREE, FIVE = wave("x", 3), wave("y", 5)
PLANS = {
    "one step": Plan.chain("a"),
    "chain": Plan.chain("a", "b", "c"),
    "chord": Plan.chord(["a", "b"], "c"),
    "chain into a chord": Plan([Step("a"), *wave("x", 3, ["a"]), Step("d", after=named(THREE))]),
    "two parallel waves": Plan([*THREE, *wave("y", 3, named(THREE))]),
    "parallel last wave": Plan([Step("a"), *wave("x", 4, ["a"])]),
    "join of some": Plan([*THREE, Step("d", after=["x0", "x1"])]),
    "join that is not alone": Plan([*THREE, Step("d", after=named(THREE)), Step("c", after=["x0"])]),
    "a thousand wide": Plan([*wave("w", 1_000), Step("d", after=[f"w{i}" for i in range(1_000)])]),
    "chord after chord": Plan(
        [*THREE, Step("d", after=named(THREE)), *wave("y", 5, ["d"]), Step("c", after=named(FIVE))]
    ),
}


@pytest.fixture(scope="module")
def celery_app(server: Valkey, front: Orchestrator) -> Application:
    """An application that only sends; `front` defines the specialists."""
    return application(load(redis_url=server.url))


@pytest.fixture(scope="module")
def wires(server: Valkey, front: Orchestrator) -> WireForms:
    return WireForms(load(redis_url=server.url))


def ids(node: Any) -> set[str]:
    """The task ids anywhere in a canvas's wire form."""
    if isinstance(node, dict):
        own = {node["options"]["task_id"]} if str(node.get("task", "")).startswith("step.") else set[str]()
        return own.union(*map(ids, node.values()))
    return set[str]().union(*map(ids, node)) if isinstance(node, list | tuple) else set[str]()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_canvas_names_each_step_by_job_and_name_and_survives_json(celery_app: Application, plan: Plan) -> None:
    made = Canvas(celery_app).compile(JOB, plan, TRACE)
    wire = json.loads(json.dumps(made))
    assert ids(wire) <= {f"{JOB}.{name}" for name in plan.by_name}
    assert ids(wire) >= {f"{JOB}.{name}" for name in plan.waves[0]}
    assert ids(json.loads(json.dumps(signature(wire, app=celery_app)))) == ids(wire)
    assert ids(json.loads(json.dumps(Canvas(celery_app).compile(JOB, plan, TRACE)))) == ids(wire), "ids are stable"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("one step", "step.a"),
        ("chain", "celery.chain"),
        ("chord", "celery.chord"),
        ("a thousand wide", "celery.chord"),
        ("two parallel waves", "celery.group"),
        ("parallel last wave", "celery.chain"),
    ],
)
def test_plans_become_the_canvas_that_their_shape_is(celery_app: Application, name: str, kind: str) -> None:
    assert Canvas(celery_app).compile(JOB, PLANS[name], TRACE)["task"] == kind


def test_what_is_finished_is_left_out(celery_app: Application) -> None:
    plan = PLANS["chain into a chord"]
    made = Canvas(celery_app).compile(JOB, plan, TRACE, finished=["a", "x0"])
    assert ids(json.loads(json.dumps(made))) == {f"{JOB}.{name}" for name in ("x1", "x2", "d")}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_each_step_of_the_first_wave_has_a_message_and_no_other(wires: WireForms, plan: Plan) -> None:
    messages = wires.first_messages(plan)
    assert sorted(messages) == sorted(plan.waves[0])
    for name, text in messages.items():
        headers = json.loads(text)["headers"]
        assert headers["id"] == f"@job@.{name}"
        assert headers["task"] == task_name(plan.by_name[name].specialist)
    assert wires.first_messages(plan) == messages


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_celery_and_kombu_read_what_the_scripts_enqueue(
    server: Valkey, front: Orchestrator, wires: WireForms, celery_app: Application, plan: Plan
) -> None:
    client = front._client  # pyright: ignore[reportPrivateUsage]
    do(client.command("FLUSHALL"))
    jobs = JobStore(Scripts(client, wires.message()), 600)
    new = NewJob(JOB, "w", "t", {}, CEILINGS, traceparent=TRACE, plan=plan, templates=wires.first_messages(plan))
    do(jobs.open(new))
    seen: dict[str, int] = {}
    for queue in {step.specialist for step in plan.steps}:
        for raw in do(client.command("LRANGE", f"{queue}.{{0}}", 0, -1)):
            assert b"@" not in raw.replace(b"@localhost", b""), "every placeholder is filled in"
            name, number = read(raw, celery_app)
            seen[name] = number
    assert seen == {name: plan.numbers[name] for name in plan.waves[0]}


def read(raw: bytes, app: Application) -> tuple[str, int]:
    """Decode a message as a worker does; answers the step and its number as shown."""
    with Connection("memory://") as connection:
        message: Any = Message(channel=connection.channel(), accept=["application/json"], **arguments(json.loads(raw)))
        (job_id, step), named_arguments, embedded = message.decode()
        request: Any = Context(message.headers, args=(job_id, step), **message.properties)
    assert (job_id, named_arguments) == (JOB, {})
    assert request.id == f"{JOB}.{step}"
    assert request.task == task_name(step[0] if step in "abcd" else "a")
    assert message.headers["traceparent"] == TRACE
    assert message.properties["delivery_info"]["routing_key"].endswith(".{0}")
    for follows in [embedded["chord"], *(embedded["chain"] or [])]:
        task: Any = signature(follows, app=app) if follows else None
        assert task is None or task.task.startswith(("step.", "celery."))
    shown, _, total = message.headers["argsrepr"].partition(" (")[0].rpartition(" of ")
    assert int(total) >= int(shown.rpartition(" ")[2])
    return step, int(shown.rpartition(" ")[2])


def arguments(payload: dict[str, Any]) -> dict[str, Any]:
    """What kombu's virtual transport makes of a payload."""
    properties = payload["properties"]
    return {
        "body": payload["body"],
        "properties": properties,
        "headers": payload["headers"],
        "content_type": payload["content-type"],
        "content_encoding": payload["content-encoding"],
        "delivery_tag": properties["delivery_tag"],
        "delivery_info": properties["delivery_info"],
    }


def test_arguments_stay_in_the_record(wires: WireForms) -> None:
    """A message carries ids only: steps of one shape share it, whatever their arguments."""
    plans = [Plan([Step("a", arguments={"secret": word}), Step("b", after=["a"])]) for word in ("one", "two")]
    assert wires.first_messages(plans[0]) == wires.first_messages(plans[1])
    assert "one" not in wires.first_messages(plans[0])["a"]


def test_on_rabbitmq_the_canvas_itself_says_each_steps_place(server: Valkey, front: Orchestrator) -> None:
    app = application(load(redis_url=server.url, broker_url="amqp://localhost"))
    chained: Any = Canvas(app).compile(JOB, Plan.chain("a", "b"), TRACE)
    shown = [step.options["argsrepr"] for step in chained.tasks]
    assert shown == [f"step 1 of 2 (a), job {JOB}", f"step 2 of 2 (b), job {JOB}"]
