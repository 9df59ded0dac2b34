"""Says every two seconds that this process is alive and what it does, for `surefoot top`. No step waits for it."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import structlog

from orchestrator import connect
from orchestrator.errors import SurefootError
from orchestrator.settings import Settings
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.presence import BEAT_S, PresenceStore
from orchestrator.state.scripts import Scripts

log = structlog.get_logger(__name__)


class Heart:
    """A thread with a connection of its own; what it cannot say is said two seconds later."""

    def __init__(self, settings: Settings, name: str, kind: str, facts: Callable[[], Mapping[str, Any]]) -> None:
        """`facts` is asked at each beat; `kind` is worker, child or sweeper."""
        self._name, self._facts = name, facts
        self._always = {
            "kind": kind,
            "pid": os.getpid(),
            "version": settings.version or version("surefoot"),
            "started": round(time.time(), 3),
        }
        self._store = PresenceStore(Scripts(SyncClient(connect.state_url(settings), patience_s=0)))
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="surefoot-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The process ends in order: it is no longer there, which is not the same as silent."""
        self._closed.set()
        self._thread.join(BEAT_S)

    def _beat(self) -> None:
        while not self._closed.is_set():
            self._try(lambda: without_loop(self._store.beat(self._name, {**self._always, **self._facts()})))
            self._closed.wait(BEAT_S)
        self._try(lambda: without_loop(self._store.leave(self._name)))

    def _try(self, say: Callable[[], None]) -> None:
        try:
            say()
        except (SurefootError, ReplyError) as error:
            log.debug("not said that it is alive", error=str(error))
