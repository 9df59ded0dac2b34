"""How long the work of a killed worker stood still: from the kill until each step it held was claimed again."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.chaos.driver import Kill
from benchmarks.chaos.story import Story


def noted(folder: Path) -> dict[tuple[str, int], int]:
    """Which worker began which attempt: (<job>.<step>, attempt) -> pid."""
    return {
        (words[0], int(words[1])): int(path.name)
        for path in folder.iterdir()
        for words in (line.split() for line in path.read_text().splitlines())
    }


def recoveries(stories: Iterable[Story], kills: Sequence[Kill], begun: dict[tuple[str, int], int]) -> list[float]:
    """Seconds, of each attempt that a kill cut off, smallest first."""
    return sorted(_recoveries(stories, [kill for kill in kills if kill.kind == "worker"], begun))


def _recoveries(stories: Iterable[Story], kills: Sequence[Kill], begun: dict[tuple[str, int], int]) -> Iterator[float]:
    """An attempt that was cut off before its first line counts from the first kill of any worker after its claim."""
    died = {kill.pid: kill.at for kill in kills}
    for story in stories:
        for lost in story.lost:
            pid = begun.get((f"{story.id}.{lost.step}", lost.attempt))
            later = (kill.at for kill in kills if lost.claimed <= kill.at <= lost.again)
            killed = died.get(pid) if pid else next(later, None)
            if killed is not None:
                yield lost.again - killed
