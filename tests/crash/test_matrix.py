"""SIGKILL at every boundary, pairwise; `python -m benchmarks.chaos.matrix` plays every cell."""

import itertools
from collections.abc import Callable

import pytest

from tests.crash.matrix import ALL, BOUNDARIES, CELLS, EFFECTS, WHOM, Cell, Theatre, pairwise

CHOSEN = pairwise(CELLS)
ITEMS = itertools.count()


def parameter(cell: Cell) -> object:
    return pytest.param(cell, id=str(cell), marks=pytest.mark.xdist_group("-".join(cell.stage)))


@pytest.mark.parametrize("cell", [parameter(cell) for cell in CHOSEN])
def test_nothing_is_lost_and_nothing_doubled(theatres: Callable[[str, str], Theatre], cell: Cell) -> None:
    theatres(*cell.stage).play(cell, f"bed-{next(ITEMS)}")


def test_every_pair_meets_and_what_cannot_be_says_why() -> None:
    assert len(ALL) == len(BOUNDARIES) * len(WHOM) * 2 * len(EFFECTS)
    assert all(cell.cannot_be for cell in set(ALL) - set(CELLS))
    met = {(cell.boundary, cell.tool) for cell in CHOSEN}
    assert met == {(cell.boundary, cell.tool) for cell in CELLS}
    assert {(cell.whom, cell.tool, cell.broker) for cell in CHOSEN} >= {(whom, "send", "redis") for whom in WHOM}
