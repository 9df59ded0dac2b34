"""SIGKILL at every boundary, pairwise; `python -m benchmarks.chaos.matrix` plays every cell."""

import itertools

import pytest

from tests.crash.matrix import ALL, BOUNDARIES, CELLS, EFFECTS, WHOM, Cell, Theatre, pairwise

CHOSEN = pairwise(CELLS)
ITEMS = itertools.count()
THEATRES = {stage: f"{stage[0]} {stage[1]}" for stage in sorted({cell.stage for cell in CELLS})}
"""The very same object for the cells of one theatre: pytest compares parameters of shared fixtures by identity."""


def parameters(cell: Cell) -> object:
    theatre = THEATRES[cell.stage]
    return pytest.param(theatre, cell, id=str(cell), marks=pytest.mark.xdist_group(theatre.replace(" ", "-")))


@pytest.mark.parametrize(("theatre", "cell"), [parameters(cell) for cell in CHOSEN], indirect=["theatre"])
def test_nothing_is_lost_and_nothing_doubled(theatre: Theatre, cell: Cell) -> None:
    theatre.play(cell, f"bed-{next(ITEMS)}")


def test_every_pair_meets_and_what_cannot_be_says_why() -> None:
    assert len(ALL) == len(BOUNDARIES) * len(WHOM) * 2 * len(EFFECTS)
    assert all(cell.cannot_be for cell in set(ALL) - set(CELLS))
    met = {(cell.boundary, cell.tool) for cell in CHOSEN}
    assert met == {(cell.boundary, cell.tool) for cell in CELLS}
    assert {(cell.whom, cell.tool, cell.broker) for cell in CHOSEN} >= {(whom, "send", "redis") for whom in WHOM}
