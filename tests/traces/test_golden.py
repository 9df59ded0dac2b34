"""What traces look like, as files to read; `RENEW_TRACES=1 .venv/bin/python -m pytest tests/traces` renews them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Job
from orchestrator.telemetry import names
from orchestrator.telemetry.tree import Node
from tests.traces.conftest import trace_of

pytestmark = pytest.mark.xdist_group("traces")
GOLDEN = Path(__file__).with_name("golden")
SHOWN = {
    name.rpartition(".")[2]: name
    for name in (
        names.ATTEMPT,
        names.STEP,
        names.OUTCOME,
        names.ERROR_TYPE,
        names.EFFECT,
        names.REPLAYED,
        names.DEDUP_KEY,
    )
}
VARY = {"delay_s", "freed"}
"""A time; and which of several steps side by side ends last, and so frees the next."""


def lines(node: Node, job_id: str, depth: int = 0) -> Iterator[str]:
    """A span, what happened in it, and what is below; without ids, times and the messages that carried the steps."""
    if node.kind in {"consumer", "producer"}:
        for child in node.children:
            yield from lines(child, job_id, depth)
        return
    told = {short: node.attributes[name] for short, name in SHOWN.items() if name in node.attributes}
    if names.STEP in node.attributes:
        told["number"] = f"{node.attributes[names.STEP_NUMBER]} of {node.attributes[names.STEP_TOTAL]}"
    said = " ".join(f"{name}={value}" for name, value in told.items())
    status = f" {node.status.upper()}" if node.status != "unset" else ""
    kind = f" ({node.kind})" if node.kind != "internal" else ""
    indent = "  " * depth
    yield f"{indent}{node.name}{kind}{status}{' NOT ENDED' if node.open else ''}{f': {said}' if said else ''}"
    if node.message:
        yield f"{indent}  ! {node.message}"
    for before in node.before:
        ended = before.attributes.get(names.OUTCOME, "NOT ENDED")
        yield f"{indent}  < {before.name}: attempt={before.attributes[names.ATTEMPT]} {ended}"
    for event in node.events:
        what = " ".join(f"{name}={value}" for name, value in event["attributes"].items() if name not in VARY)
        yield f"{indent}  * {event['name']}{f': {what}' if what and event['name'] != 'exception' else ''}"
    for child in sorted(node.children, key=_place if depth == 0 else _began):
        yield from lines(child, job_id, depth + 1)


def _began(node: Node) -> int:
    return node.start_ns


def _place(node: Node) -> tuple[int, int]:
    """Steps side by side start in any order, so steps come by their number, and what else happened after them."""
    numbers = [int(below.attributes[names.STEP_NUMBER]) for below in node.walk() if names.STEP in below.attributes]
    return (numbers[0] if numbers else 99, node.start_ns)


@pytest.mark.parametrize(
    "name", ["success", "retry", "redelivery", "kill and re-drive", "pause and resume", "budget stop", "undo"]
)
def test_a_trace_looks_as_it_did(jobs: dict[str, Job], name: str) -> None:
    job, path = jobs[name], GOLDEN / f"{name.replace(' ', '_')}.txt"
    seen = "\n".join(lines(trace_of(job).root, job.id)).replace(job.id, "JOB") + "\n"
    if os.environ.get("RENEW_TRACES"):
        path.write_text(seen)
    assert seen == path.read_text(), f"see {path.name}; RENEW_TRACES=1 writes it anew"
