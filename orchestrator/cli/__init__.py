"""The command line: `surefoot`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the job waits for an answer."""

import sys
import traceback

import typer

from orchestrator.cli import answering, bench, demo, doctor, jobs, machine, top
from orchestrator.cli.terminal import errors
from orchestrator.errors import InvalidRequest, SurefootError, WaitingForInput
from orchestrator.telemetry.redaction import redact_end, redact_text

app = typer.Typer(
    name="surefoot",
    help="Runs multi-agent jobs: exactly-once steps and tool calls, one budget a job, one trace.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
COMMANDS = (*jobs.COMMANDS, *answering.COMMANDS, *machine.COMMANDS, *top.COMMANDS, *doctor.COMMANDS)
for command in (*COMMANDS, demo.demo, bench.bench):
    app.command()(command)


def main() -> None:
    """Run a command; errors become one line on stderr and an exit code."""
    try:
        app()
    except WaitingForInput as error:
        errors.print(f"surefoot: {redact_text(str(error))}", style="yellow", soft_wrap=True)
        sys.exit(3)
    except SurefootError as error:
        errors.print(f"surefoot: {redact_text(str(error))}", style="red", soft_wrap=True)
        sys.exit(2 if isinstance(error, InvalidRequest) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - of a module of the user's, or a fault of ours: whatever it is, without secrets
        errors.print(redact_end(traceback.format_exc()), style="red", soft_wrap=True)
        sys.exit(1)


__all__ = ["app", "main"]
