"""The whole kill matrix: `python -m benchmarks.chaos.matrix`. SIGKILL in every cell, and what became of each.

Ends with 1 if anything was lost, doubled, wrongly in doubt or left behind in any of them.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.errors import SurefootError
from tests.crash.conftest import theatre_on
from tests.crash.matrix import ALL, BOUNDARIES, BROKERS, CELLS, EFFECTS, NOTES, WHOM, Cell, pairwise

console = Console(highlight=False)


def play(cells: Sequence[Cell]) -> dict[Cell, str]:
    """Each cell's outcome: "once", "asked a person, once", or what was wrong."""
    outcomes: dict[Cell, str] = {}
    staged = sorted(cells, key=lambda cell: cell.stage)
    for (broker, pool), group in groupby(staged, key=lambda cell: cell.stage):
        with tempfile.TemporaryDirectory() as folder, theatre_on(broker, Path(folder)) as theatre:
            for cell in group:
                begun = time.monotonic()
                try:
                    theatre.play(cell, f"bed-{len(outcomes)}")
                    outcomes[cell] = "asked a person, once" if cell.in_doubt else "once"
                except (
                    AssertionError,
                    SurefootError,
                    OSError,
                ) as error:  # what this looks for; the others are played too
                    outcomes[cell] = f"WRONG: {type(error).__name__}: {error}"
                    theatre.armed.unlink(missing_ok=True)
                console.print(
                    f"{len(outcomes):3} of {len(cells)}  {cell}  {outcomes[cell]}  {time.monotonic() - begun:.1f} s"
                )
        console.print(f"{broker}, {pool}: done")
    return outcomes


def report(outcomes: dict[Cell, str]) -> None:
    """A row a boundary, a column an effect; how many cells of each, and those that cannot be."""
    table = Table("SIGKILL at", *EFFECTS.values(), box=None, header_style="bold")
    for boundary in BOUNDARIES:
        columns: list[str] = []
        for tool in EFFECTS:
            seen = [outcome for cell, outcome in outcomes.items() if (cell.boundary, cell.tool) == (boundary, tool)]
            counted = [f"{seen.count(each)} x {each}" for each in sorted(set(seen))]
            columns.append(", ".join(counted) or "-")
        table.add_row(boundary, *columns)
    console.print(table)
    for boundary, note in NOTES.items():
        console.print(f"{boundary}: {note}")
    for why in sorted({cell.cannot_be for cell in ALL if cell.cannot_be}):
        console.print(f"{sum(cell.cannot_be == why for cell in ALL)} cells cannot be: {why}")
    wrong = sum(outcome.startswith("WRONG") for outcome in outcomes.values())
    console.print(f"{len(outcomes)} kills ({', '.join(WHOM)}; {', '.join(BROKERS)}), {wrong} wrong")


def main() -> int:
    """Play all cells, or the pairwise few."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.matrix", description=__doc__)
    parser.add_argument("--pairwise", action="store_true", help="only the cells that `make test` plays")
    parser.add_argument("--broker", choices=BROKERS, help="only this broker's")
    options = parser.parse_args()
    cells = [cell for cell in (pairwise(CELLS) if options.pairwise else CELLS) if options.broker in {None, cell.broker}]
    outcomes = play(cells)
    report(outcomes)
    return any(outcome.startswith("WRONG") for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
