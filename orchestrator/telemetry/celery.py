"""Celery's own spans, by OpenTelemetry's instrumentation, which knows a run of a task by the task's id alone.

Here one id may run twice at once in a process: a message came twice, or a step goes on before its last run has ended
in Celery's eyes. The second run would take the place of the first, which then never ends, and end in its name.
"""

from typing import Any

from opentelemetry.instrumentation.celery import CeleryInstrumentor, utils

OURS = "surefoot_traced"


class OneRunAtATime(CeleryInstrumentor):
    """Makes no span of a run while another one of the same id is under way: what is in it hangs under the root."""

    def _trace_prerun(self, *args: Any, **kwargs: Any) -> None:
        task = kwargs["task"]
        if utils.retrieve_context(task, kwargs["task_id"]) is None:
            setattr(task.request, OURS, True)
            super()._trace_prerun(*args, **kwargs)

    def _trace_postrun(self, *args: Any, **kwargs: Any) -> None:
        if _traced(kwargs["task"]):
            super()._trace_postrun(*args, **kwargs)

    def _trace_failure(self, *args: Any, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if _traced(kwargs["sender"]):
            super()._trace_failure(*args, **kwargs)

    def _trace_retry(self, *args: Any, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if _traced(kwargs["sender"]):
            super()._trace_retry(*args, **kwargs)


def _traced(task: Any) -> bool:
    """Whether the run in which this happens has the span."""
    return bool(getattr(task.request, OURS, False))
