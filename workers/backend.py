"""A result backend that stores nothing: a chord's join is the commit's answer."""

from typing import Any

from celery.backends.base import DisabledBackend


class JobRecordBackend(DisabledBackend):
    """Lets chords run without results. The record in Redis knows when a join may run; Celery only carries it on."""

    persistent = False

    def ensure_chords_allowed(self) -> None:
        """They are."""

    def apply_chord(self, header_result_args: Any, body: Any, **options: Any) -> None:
        """Nothing to prepare: the record knew the join before the canvas was sent."""

    def on_chord_part_return(self, request: Any, *_: Any, **__: Any) -> None:
        """Send the body, from the one task whose commit completed the header."""
        body = self.app.signature(request.chord)
        if body.args[1] in getattr(request, "surefoot_ready", ()):
            body.apply_async()
