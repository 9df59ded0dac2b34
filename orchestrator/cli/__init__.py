"""The command line: `surefoot`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the job waits for an answer."""

import sys

import typer

from orchestrator.cli import answering, bench, demo, doctor, jobs, machine, top
from orchestrator.cli.terminal import errors
from orchestrator.errors import InvalidRequest, SurefootError, WaitingForInput

app = typer.Typer(
    name="surefoot",
    help="Runs multi-agent jobs: exactly-once steps and tool calls, one budget a job, one trace.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)
COMMANDS = (*jobs.COMMANDS, *answering.COMMANDS, *machine.COMMANDS, *top.COMMANDS, *doctor.COMMANDS)
for command in (*COMMANDS, demo.demo, bench.bench):
    app.command()(command)


def main() -> None:
    """Run a command; errors become one line on stderr and an exit code."""
    try:
        app()
    except WaitingForInput as error:
        errors.print(f"surefoot: {error}", style="yellow")
        sys.exit(3)
    except SurefootError as error:
        errors.print(f"surefoot: {error}", style="red")
        sys.exit(2 if isinstance(error, InvalidRequest) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


__all__ = ["app", "main"]
