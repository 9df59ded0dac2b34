"""The dashboard and the alerts of `deploy/`: each metric and label they ask for is one that docs/telemetry.md has."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import promql_parser
import pytest
import typer
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from orchestrator.cli import app
from tests.support.stage import ROOT
from tests.telemetry.metrics_page import documented

DURATION = re.compile(r"(\d+[smhd])+")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus-rules.yaml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
HISTOGRAMS = {name for name in documented() if re.search(r"(duration|queue_wait)_seconds$", name)}


def expressions() -> Iterator[str]:
    """As Prometheus gets them: Grafana fills its own variables in before."""
    filled = (target["expr"].replace("$__rate_interval", "5m") for panel in PANELS for target in panel["targets"])
    yield from filled
    yield from (rule["expr"] for rule in ALERTS)


def family(name: str) -> str:
    """Which metric a name on a page belongs to."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if base in HISTOGRAMS and base != name else name


def unknown(expression: str) -> list[str]:
    """What is no PromQL, and what an expression asks for that no page has."""
    try:
        whole = promql_parser.parse(expression)
    except ValueError as error:
        return [str(error)]
    promised, labels, wrong = documented(), set[str](), list[str]()

    def look(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            name = str(part.name)
            own = promised.get(family(name), set()) | ({"le"} if name.endswith("_bucket") else set())
            labels.update(own)
            if family(name) not in promised or name in HISTOGRAMS:
                wrong.append(name)
            wrong.extend(matcher.name for matcher in part.matchers.matchers if matcher.name not in own)

    def judge(part: Any) -> None:
        named = part.modifier if isinstance(part, promql_parser.AggregateExpr) else getattr(part, "modifier", None)
        named = named.matching if isinstance(named, promql_parser.BinModifier) else named
        if named is not None:
            wrong.extend(label for label in named.labels if label not in labels)

    promql_parser.walk(whole, look)
    promql_parser.walk(whole, judge)
    return wrong


def test_every_expression_asks_for_what_is_there() -> None:
    assert {expression: unknown(expression) for expression in expressions() if unknown(expression)} == {}


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum(rate(surefoot_replay_total[5m]))", ["surefoot_replay_total"]),
        ("sum(rate(surefoot_replays_total[5m])", ["unclosed left parenthesis"]),
        (
            "sum(rate(surefoot_replays_total))",
            ["expected type matrix in call to function 'rate', got vector"],
        ),
        ('surefoot_jobs{surefoot_job_status=~"("}', ["illegal regex for ("]),
        ("surefoot_jobs and on (tenant) surefoot_leases", ["tenant"]),
        ("surefoot_sweep_duration_seconds", ["surefoot_sweep_duration_seconds"]),
        ("surefoot_jobs_count", ["surefoot_jobs_count"]),
        ('surefoot_jobs{status="failed"}', ["status"]),
        ("sum by (tenant) (surefoot_jobs)", ["tenant"]),
        ("average(surefoot_jobs)", ["unknown function with name 'average'"]),
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


def lost(mine: Any, theirs: Any, where: str = "") -> list[str]:
    """What of a JSON value is not in another one, or is otherwise."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        named = cast("dict[str, Any]", mine).items()
        return [path for name, each in named for path in lost(each, cast("Any", theirs).get(name), f"{where}/{name}")]
    if isinstance(mine, list) and isinstance(theirs, list) and len(cast("Any", mine)) == len(cast("Any", theirs)):
        pairs = enumerate(zip(cast("Any", mine), cast("Any", theirs), strict=True))
        return [path for number, (a, b) in pairs for path in lost(a, b, f"{where}/{number}")]
    return [] if mine == theirs else [where]


def as_grafana_reads_it(read: dict[str, Any]) -> Any:
    """By Grafana's own model of a dashboard, and back: what that does not know is lost on the way."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(read)))


def test_grafana_s_own_model_has_a_place_for_all_of_the_dashboard() -> None:
    assert lost(DASHBOARD, as_grafana_reads_it(DASHBOARD)) == []
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][1]["gridPosition"] = wrong["panels"][1].pop("gridPos")
    wrong["panels"][1]["fieldConfig"]["default"] = wrong["panels"][1]["fieldConfig"].pop("defaults")
    wrong["refreshes"] = "10s"
    told = [path.rpartition("/")[2] for path in lost(wrong, as_grafana_reads_it(wrong))]
    assert told == ["default", "gridPosition", "refreshes"], told


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
