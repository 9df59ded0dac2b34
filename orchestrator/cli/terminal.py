"""Where all that the commands print goes out: nothing that is printed can steer the terminal or is read as markup."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from orchestrator.telemetry.plain import plain

WIDE = 200


class Terminal(Console):
    """A console for text of anybody's: brackets are brackets, and escape sequences are taken out."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does it; what it adds itself, such as colours and the cursor's moves, is no text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


console, errors = Terminal(), Terminal(stderr=True)
if not console.is_terminal and console.width < WIDE:
    console.width = WIDE  # nobody's window: nothing is cut or wrapped for it
