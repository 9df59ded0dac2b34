"""The table of metrics in docs/telemetry.md, and a page of Prometheus, in the same words."""

import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.telemetry.metrics import TABLE
from orchestrator.telemetry.names import Metric

ROOT = Path(__file__).parents[2]
UNITS = {"s": "_seconds", "By": "_bytes"}
ROW = re.compile(r"(?m)^\| `(surefoot(?:\.[a-z_]+)+)` \| ([a-z]+)(?:, [^|]+)? \|([^|]*)\|")
LINE = re.compile(r"(?m)^(surefoot_\w+)(?:\{(.*)\})? \S+$")
Families = Mapping[str, set[str]]
"""Metric as Prometheus calls it, of a histogram without `_bucket` and the like -> its labels."""


def prometheus(metric: Metric) -> str:
    """What a metric is called on a page."""
    what = TABLE[metric]
    total = "_total" if what.kind in {"counter", "total"} else ""
    return metric.replace(".", "_") + UNITS.get(what.unit, "") + total


def documented() -> Families:
    """What the docs promise."""
    rows = ROW.findall((ROOT / "docs/telemetry.md").read_text().partition("## Metrics")[2])
    kinds = {"total": "counter"}
    for name, kind, _ in rows:
        assert kind == kinds.get(TABLE[Metric(name)].kind, TABLE[Metric(name)].kind), name
    return {
        prometheus(Metric(name)): {label.replace(".", "_") for label in re.findall(r"`([^`]+)`", labels)}
        for name, _, labels in rows
    }


def shown(page: str) -> Families:
    """What a page has."""
    found: dict[str, set[str]] = {}
    for name, labels in LINE.findall(page):
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        found.setdefault(family, set()).update(set(re.findall(r'(\w+)="', labels)) - {"le"})
    return found
