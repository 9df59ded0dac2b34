"""A consumer that comes back soon after a lost connection and gives back what it fetched and never started."""

import time
from typing import Any, ClassVar

import structlog
from celery import signals
from celery.exceptions import WorkerShutdown
from celery.worker import state
from celery.worker.consumer import Consumer

from orchestrator.application import explained, refused

log = structlog.get_logger(__name__)
REFUSED_EXIT = 2
FIRST_S, STEP_S, LONGEST_S = 0.1, 0.1, 2.0
SPARE_S = 0.3


class QuickConsumer(Consumer):
    """Reconnects after 0.1, 0.2, ... at most 2 s: Celery waits 2, 4, 6 ... s, and has no setting for it."""

    _lost_at = -LONGEST_S

    class Blueprint(Consumer.Blueprint):
        """Celery's own, with our set-up of delayed retries."""

        default_steps: ClassVar = [
            "workers.delay:DelayedRetries" if "DelayedDelivery" in step else step
            for step in Consumer.Blueprint.default_steps
        ]

    def ensure_connected(self, conn: Any) -> Any:
        """A connection to the broker, waited for until the worker is told to stop."""

        def report(error: Exception, interval_s: float) -> None:
            log.warning("broker unreachable", broker=conn.as_uri(), error=str(error), again_in_s=interval_s)

        # A consumer itself sends only events. RabbitMQ need not confirm them: that wait has no limit, and would keep
        # this thread from the look at the heartbeats, which finds a connection that is dead without a word.
        conn.transport_options = {**conn.transport_options, "confirm_publish": False}
        app: Any = self.app
        attempts = app.conf.broker_connection_max_retries
        try:
            connected = conn.ensure_connection(
                report, attempts, FIRST_S, STEP_S, LONGEST_S, callback=state.maybe_shutdown
            )
        except Exception as error:
            if refused(error):
                log.critical("worker: ended, waiting would be in vain", error=explained(error))
                app.exit_code = REFUSED_EXIT  # Celery keeps the exit code of its own to itself
                raise WorkerShutdown(REFUSED_EXIT) from error
            raise
        self.first_connection_attempt = False
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """What was fetched is still worked on here: the closing connection must not give it back as well."""
        if time.monotonic() - self._lost_at < LONGEST_S:  # it connects, and is refused at the first command
            time.sleep(SPARE_S)
        self._lost_at = time.monotonic()
        connection: Any = self.connection
        keep = getattr(connection.transport, "keep_fetched", None)
        if keep is not None:
            keep()
        super().on_connection_error_after_connected(exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - its interface
        """Not dropped as a failure: `workers.app` hears of it, and leaves the step to a worker that knows it."""
        message.ack_log_error(log, self.connection_errors)
        name, task_id = message.headers.get("task", ""), message.headers.get("id", "")
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=task_id)

    def on_close(self) -> None:
        """Forget requests that have not started."""
        _repeated(super().on_close)

    def cancel_active_requests(self) -> None:
        """Cancel what runs, at a cold shutdown."""
        _repeated(super().cancel_active_requests)

    def stop(self) -> None:
        """Cancel the consumers; what was fetched and never started goes back to its queue, retries too."""
        scheduled = list(state.scheduled_requests)
        super().stop()
        connection: Any = self.connection
        if connection is None:
            return
        finish_poll = getattr(connection.default_channel, "finish_poll", None)
        if finish_poll is not None:
            finish_poll()
        waiting = getattr(self.pool, "never_started", list[Any])()
        for request in reversed(waiting + scheduled):
            request.message.reject_log_error(log, self.connection_errors, requeue=True)
        if waiting or scheduled:
            log.info("tasks given back to their queues", waiting=len(waiting), retries=len(scheduled))


def _repeated(call: Any) -> None:
    """Celery's sets of requests change in the pool's thread while Celery iterates over them in this one."""
    for _ in range(100):
        try:
            return call()
        except RuntimeError as error:
            if "changed size during iteration" not in str(error):
                raise
    return call()
