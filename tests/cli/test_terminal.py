"""What tools, models and users wrote is only ever text on a terminal: it neither steers it nor looks like our lines."""

import io
import shlex
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from orchestrator import cli
from orchestrator.cli import render, top, views
from orchestrator.cli.advice import diagnoses
from orchestrator.cli.terminal import Terminal
from orchestrator.state.records import Event, JobRecord, Question, encode
from orchestrator.telemetry.plain import one_line, plain, short
from orchestrator.telemetry.redaction import CUT_AT

CSI, TITLE = "\x1b[2J\x1b[31mred", "\x1b]0;owned\x07"
HOSTILE = f"{CSI}{TITLE}\x9b1A\u202egnp.exe [bold]b[/] [/nonsense] ünïcode 日本語\n  next   surefoot cancel ALL"
LONG = "x" * 10_000


def test_a_traceback_is_cut_after_its_secrets_are_taken_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        raise RuntimeError(f"password=Zq81hunter2hunter2 {'x' * (CUT_AT - 20)}")  # the cut falls into the secret

    monkeypatch.setattr(cli, "app", crash)
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert (left.value.code, "xxx" in said, "hunter2" in said) == (1, True, False)


def drawn(what: Any, width: int = 80) -> str:
    """What reaches a terminal of this width and without colours."""
    terminal = Terminal()
    terminal.file, terminal.width = io.StringIO(), width
    terminal.print(what)
    return terminal.file.getvalue()


def record(text: str, **fields: str) -> JobRecord:
    """A job that failed with this text, whose question, tenant and workflow say it too."""
    step = {"state": "failed", "spec": "a", "no": "1", "deps": "", "opt": "0", "try": "1", "args": "{}"}
    asked = Question("a/" + text, text, text, "approval", "a", details=text)
    base = {
        "status": "failed",
        "workflow": "w",
        "tenant": text,
        "created": "0",
        "since": "0",
        "total": "1",
        "left": "0",
    }
    base |= {"order": "a", "failing": "a", "reason": "step", "error": text, "q:1": asked.text}
    base |= {f"a.{name}": value for name, value in step.items()}
    return JobRecord("0" * 32, base | {"a.err": encode({"kind": "rejected", "message": text})} | fields)


def pictures(text: str) -> list[Any]:
    failed, asks = record(text), record(text, status="waiting", failing="")
    jobs = [views.jobs_table([failed, asks]), views.headline(failed), views.steps_table(failed)]
    told = [*views.wrong(failed), *views.wrong(asks), *(render.question_text(one) for one in asks.questions)]
    events = [render.event_line(Event("1-0", "failed", "a", text)), render.event_line(Event("1-0", "told", "a", text))]
    return [*jobs, *told, *events]


def test_no_text_of_a_question_its_answer_or_an_undoing_makes_a_line_that_looks_like_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forged = "\n  next   surefoot cancel ALL"
    (asked,) = record(f"x{forged}", status="waiting", failing="").questions
    form = {"type": "object", "properties": {"day": {"type": "string", "description": f"which?{forged}"}}}
    questions = [
        asked,
        replace(asked, kind="input", example=forged),
        replace(asked, kind="form", schema=form),
        replace(asked, kind="in_doubt", details={"arguments": {}, "key": f"k{forged}"}),
    ]
    drawings = [drawn(render.question_text(one), 250) for one in questions]
    drawings.append(drawn(render.answered_text(replace(asked, answered_at=1.0, by=f"ann{forged}")), 250))
    left = {"left": [{"tool": "t.x", "call": 1, "why": f"no{forged}"}]}
    terminal = Terminal()
    terminal.file = io.StringIO()
    monkeypatch.setattr(views, "console", terminal)
    views.show(record("x", undo="a", **{"undo~a.out": encode(left)}))
    drawings.append(terminal.file.getvalue())
    assert not [line for drawing in drawings for line in drawing.splitlines() if line.startswith("  next   surefoot c")]


@pytest.mark.parametrize("width", [20, 80, 250])
@pytest.mark.parametrize("text", [HOSTILE, LONG, "[/]", "", "日本語" * 50], ids=["hostile", "long", "[", "no", "wide"])
def test_nothing_that_is_shown_of_a_job_steers_the_terminal(text: str, width: int) -> None:
    for what in pictures(text):
        shown = drawn(what, width)
        assert plain(shown) == shown
        assert not set(shown) & set("\x1b\x9b\u202e\x07\r")


def test_what_anybody_wrote_stands_on_the_line_of_its_own() -> None:
    shown = "".join(drawn(told, 250) for told in views.wrong(record(HOSTILE)))
    own = [line for line in shown.splitlines() if line.startswith("  next")]
    assert len(own) == 1
    assert "cancel ALL" not in own[0]
    assert len(drawn(render.event_line(Event("1-0", "told", "a", HOSTILE)), 500).splitlines()) == 1


def test_a_command_that_is_advised_is_one_command_whatever_a_question_is_called() -> None:
    evil = "day'; surefoot cancel $(reboot) #"
    (found,) = diagnoses(record(evil, status="waiting", failing=""))
    assert [shlex.split(told) for told in found.remedies] == [
        ["surefoot", verb, "0" * 32, f"a/{evil}"] for verb in ("approve", "decline")
    ]


def test_top_shows_names_that_look_like_markup_as_they_are() -> None:
    busy = {"name": "w1@[bold]host[/]", "alive": True, "version": "[/x]", "up_s": 1, "busy": 1, "running": ["[red]"]}
    minute = {"tool_calls": 1, "tokens": 0, "usd": 0.0}
    asked = {"job": "0" * 32, "since_ms": 0, "asks": [HOSTILE], "next": "surefoot show"}
    seen = {
        "at_ms": 1,
        "jobs": {"running": 1},
        "in_doubt": {"calls": 0},
        "waiting_for_people": [asked],
        "workers": [busy],
        "workers_known": 1,
        "queues": {"[q]": {"depth": 1, "oldest_s": 1}},
        "tenants": {LONG: {"running": 1, "waiting": 0, "queued": 0, "a_minute": minute}},
        "running": [{"step": "[a]", "lease_s": 1, "held_by": "[b]"}],
        "leases": 1,
        "again": 0,
        "swept": {},
    }
    shown = drawn(top.picture(seen), 250)
    for name in ("w1@[bold]host[/]", "[/x]", "[red]", "[q]", "[a]", "[b]", "[31mred"):
        assert name in shown
    assert len(shown) < 10_000


def test_on_eighty_columns_id_and_status_of_a_job_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views.console, "_width", 80)
    lines = drawn(views.jobs_table([record("x", status="failed")])).splitlines()
    assert lines[1].startswith(f"{'0' * 32}  failed  ")
    assert max(map(len, lines)) <= 80


def test_colours_and_layout_are_still_ours() -> None:
    out = io.StringIO()
    terminal = Terminal()
    terminal.file = out
    assert isinstance(terminal, Console)
    terminal.print(Text.assemble(("red", "red"), f" {CSI}"))
    assert out.getvalue() == "red [2J[31mred\n"


def test_text_for_a_line_and_for_a_cell() -> None:
    assert plain("a\tb\nc\rd\x1b\ud800") == "a\tb\ncd"
    assert one_line("a\n\n b\r\nc\u2028d") == "a ⏎  b ⏎ c ⏎ d"
    assert short("a" * 100, 10) == "a" * 9 + "…"
    assert short("abc", 3) == "abc"
