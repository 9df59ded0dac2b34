"""How one call travels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.outcome import Unavailable


@dataclass(frozen=True)
class Said:
    """What people answered to a tool that asked (MCP input_required), and the state it gave us to keep.

    Attributes:
        answers: by the question's key: what a form was filled in with; True: accepted; False: declined; None: nobody
            chose.
        request_state: as it came with the questions.
        key: the deduplication key of the call that asked first. An argument that carries the key carries this one: the
            arguments of a call and of what goes on with it must be the same.
    """

    answers: Mapping[str, Mapping[str, Any] | bool | None]
    request_state: str | None
    key: str


@dataclass(frozen=True)
class Way:
    """How one call travels.

    Attributes:
        key: its deduplication key.
        timeout_s: what is left for it, seconds.
        said: what it goes on with, if it asked something.
        most_bytes: how large its answer may be, where that is less than the process allows.
        ours: whether it may still be sent, asked at the last moment: a process that was stopped in between cannot know
            what others have done meanwhile.
    """

    key: str
    timeout_s: float
    said: Said | None = None
    ours: Callable[[], bool] = lambda: True
    most_bytes: int | None = None

    def check(self, tool: str) -> None:
        """Before it is sent.

        Raises:
            Unavailable: it is not.
        """
        if not self.ours():
            raise Unavailable(tool, "the lease may have run out before it was sent: not sent")
