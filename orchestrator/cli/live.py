"""`surefoot watch`: a job as it goes on; a picture on a terminal, a line an event elsewhere."""

import time
from collections import deque
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.blocking import Job
from orchestrator.cli import views
from orchestrator.cli.render import event_line
from orchestrator.cli.terminal import console, errors
from orchestrator.errors import StoreRefused, StoreUnavailable, SurefootError
from orchestrator.state.records import Event, JobRecord
from orchestrator.status import JobStatus

PATIENCE_S = 2.0
"""So long Redis may be silent before that is said."""
AGAIN_S = 1.0
RECENT = 8
LOOKS_A_SECOND = 2


def events(job: Job, after: str = "0") -> Iterator[Event]:
    """The job's events behind `after`. Redis may go away meanwhile: that is said, and waited out.

    Raises:
        StoreRefused: Redis wants another password.
    """
    while True:
        try:
            for event in job.events(after):
                after = event.id
                yield event
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            errors.print(f"{error}; still trying", style="yellow")
            time.sleep(AGAIN_S)
        else:
            return


def until_it_waits(job: Job, after: str = "0") -> Iterator[Event]:
    """The same, until it ends or waits for a person."""
    for event in events(job, after):
        yield event
        if event.type == "waiting" and _still(job.record, event):
            return


def _still(record: JobRecord, event: Event) -> bool:
    """Whether it waits since this event, and not since a later one."""
    return record.status is JobStatus.WAITING and round(1000 * event.at) >= int(record.fields["since"])


def watch(job: Job) -> None:
    """Follow it from its start until it ends or waits, then say how it stands."""
    if console.is_terminal:
        picture = Picture(job)
        with Live(get_renderable=picture.now, console=console, refresh_per_second=LOOKS_A_SECOND):
            for event in until_it_waits(job):
                picture.recent.append(event)
        return
    for event in until_it_waits(job):
        console.print(event_line(event), soft_wrap=True)
    record = job.record
    console.print(views.headline(record))
    for told in views.wrong(record):
        console.print(told, soft_wrap=True)


class Picture:
    """A job's steps as they are now, under what is wrong, above what happened last."""

    def __init__(self, job: Job) -> None:
        self.recent = deque[Event](maxlen=RECENT)
        self._job, self._record = job, job.record

    def now(self) -> RenderableType:
        """Read it once more; while Redis is away, the last picture says so."""
        away = Text("")
        try:
            self._record = self._job.record
        except SurefootError as error:
            away = Text(f"as of the last answer of Redis: {error}", "yellow")
        record = self._record
        steps = views.steps_table(record, most=views.MOST_STEPS)
        happened = [event_line(event) for event in self.recent]
        return Group(views.headline(record), *views.wrong(record), steps, *happened, *([away] if away else []))
