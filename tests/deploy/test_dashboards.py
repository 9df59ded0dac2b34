"""The dashboard and the alerts of `deploy/`: each metric and label they ask for is one that docs/telemetry.md has."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml

from orchestrator.cli import app
from tests.support.stage import ROOT
from tests.telemetry.metrics_page import documented

FUNCTIONS = {"sum", "max", "rate", "increase", "absent", "histogram_quantile", "by", "and", "or", "unless", "on"}
DURATION = re.compile(r"(\d+[smhd])+")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus-rules.yaml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
HISTOGRAMS = {name for name in documented() if re.search(r"(duration|queue_wait)_seconds$", name)}


def expressions() -> Iterator[str]:
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])
    yield from (rule["expr"] for rule in ALERTS)


def family(name: str) -> str:
    """Which metric a name on a page belongs to."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if base in HISTOGRAMS and base != name else name


def unknown(expression: str) -> list[str]:
    """What an expression asks for that no page has; that is all: whether PromQL parses it is not looked at."""
    promised = documented()
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    names = re.findall(r"\bsurefoot_\w+(?![^{]*\})", re.sub(r"\bby \([^)]*\)", "", bare))
    asked = {family(name) for name in names}
    wrong = [name for name in names if family(name) not in promised or name in HISTOGRAMS]
    known = {"le"}.union(*(promised[name] for name in asked & promised.keys()))
    labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", bare)
    labels += [label for group in re.findall(r"\bby \(([^)]*)\)", bare) for label in re.split(r",\s*", group)]
    wrong += [label for label in labels if label not in known]
    outside = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", bare)
    wrong += [word for word in re.findall(r"[A-Za-z_]\w*", outside) if word not in FUNCTIONS and word not in names]
    return wrong + [pair for pair in ("()", "{}", "[]") if expression.count(pair[0]) != expression.count(pair[1])]


def test_every_expression_asks_for_what_is_there() -> None:
    assert {expression: unknown(expression) for expression in expressions() if unknown(expression)} == {}


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum(rate(surefoot_replay_total[5m]))", ["surefoot_replay_total"]),
        ("sum(rate(surefoot_replays_total[5m])", ["()"]),
        ("surefoot_sweep_duration_seconds", ["surefoot_sweep_duration_seconds"]),
        ("surefoot_jobs_count", ["surefoot_jobs_count"]),
        ('surefoot_jobs{status="failed"}', ["status"]),
        ("sum by (tenant) (surefoot_jobs)", ["tenant"]),
        ("average(surefoot_jobs)", ["average"]),
    ],
)
def test_an_expression_that_asks_for_something_else_is_noticed(expression: str, wrong: list[str]) -> None:
    assert unknown(expression) == wrong


def test_what_every_sweeper_says_of_the_whole_system_is_never_added_up() -> None:
    told = "surefoot_jobs_reached_total"
    each = re.compile(rf"max by \(([^)]*)\) \((?:rate|increase)\({told}\{{surefoot_job_status(=~?)")
    asking = [expression for expression in expressions() if told in expression]
    assert len(asking) == 3
    for expression in asking:
        kept = each.findall(expression)
        assert len(kept) == expression.count(told), expression
        for labels, match in kept:
            kinds = {"gen_ai_workflow_name"} | ({"surefoot_job_status"} if match == "=~" else set())
            assert set(labels.split(", ")) == kinds, expression
    gauges = {name for name in documented() if name not in HISTOGRAMS and not name.endswith("_total")}
    summed = {name for one in expressions() for name in re.findall(r"sum(?: by \([^)]*\) )?\((surefoot_\w+)", one)}
    assert summed & gauges == set()


def test_every_metric_is_looked_at() -> None:
    asked = {family(name) for expression in expressions() for name in re.findall(r"\bsurefoot_\w+", expression)}
    assert documented().keys() - asked == set()


def test_the_dashboard_is_one_that_grafana_can_draw() -> None:
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= DASHBOARD.keys()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        assert max(x for x, _ in cells) < 24, f"{panel['title']} is beyond the edge"
        taken |= cells
    for panel in PANELS:
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))
        for target in panel["targets"]:
            assert target["datasource"]["uid"].strip("${}") in variables
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= set(re.findall(r"\w+", target["expr"])), target["legendFormat"]


def test_every_alert_says_what_is_wrong_how_urgent_it_is_and_what_to_type() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    main = typer.main.get_command(app)
    commands = set(getattr(main, "commands"))  # noqa: B009 - a group has them
    page = (ROOT / "docs/monitoring.md").read_text()
    for rule in ALERTS:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
        assert DURATION.fullmatch(rule.get("for", "0s"))
        assert rule["annotations"]["summary"]
        program, command, *_ = rule["annotations"]["command"].split()
        assert (program, command in commands) == ("surefoot", True), rule["alert"]
        assert f"`{rule['alert']}`" in page, "docs/monitoring.md says what it means"
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert used <= set(re.findall(r"\w+", rule["expr"]))
    assert set(re.findall(r"`(Surefoot[A-Z]\w+)`", page)) == {rule["alert"] for rule in ALERTS}
