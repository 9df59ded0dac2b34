"""A headless Chromium, driven by its own debugging protocol. In CI a missing browser is a failure."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--window-size=1600,900", "--remote-debugging-port=0"),
)


class Tab:
    """One page, as somebody sees it."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire, self._sent = wire, 0

    def open(self, url: str) -> None:
        """Go there; `wait_for` says when it has come."""
        self._ask("Page.navigate", url=url)

    def script(self, expression: str) -> Any:
        """What a script on the page answers."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """All that is to be read on the page."""
        return self.script("document.body ? document.body.innerText : ''")

    @property
    def status(self) -> int:
        """The HTTP status that the page came with; 0 while it has not."""
        return self.script("performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0")

    def fill(self, field: str, text: str) -> None:
        """Type into the field of this selector."""
        events = "['input', 'keyup', 'change'].forEach(it => box.dispatchEvent(new Event(it, {bubbles: true})))"
        box = f"const box = document.querySelector({json.dumps(field)}); box.value = {json.dumps(text)}"
        self.script(f"(() => {{ {box}; {events} }})()")

    def wait_for(self, words: str) -> str:
        """The page's text, once these words stand on it."""
        wait_until(lambda: words in self.text, f"{words!r} is on the page", 60)
        return self.text

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        self._wire.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        while (heard := json.loads(self._wire.recv(60))).get("id") != self._sent:
            pass  # events
        return heard["result"]


@contextmanager
def browser(folder: Path) -> Generator[Tab]:
    """A browser that nobody has used before; it keeps its files in the folder."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on PATH, and this is CI")
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with (folder / "browser.log").open("wb") as log:
        words = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        own = {**os.environ, "TMPDIR": str(folder)}  # else it leaves folders in /tmp when it is killed
        process = subprocess.Popen(words, env=own, stdout=log, stderr=log, start_new_session=True)
    try:
        port = folder / "profile" / "DevToolsActivePort"
        wait_until(lambda: port.exists() and port.read_text().count("\n") >= 1, "the browser listens", 60)
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list", timeout=30) as answer:
            page = next(one for one in json.loads(answer.read()) if one["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=30) as wire:
            yield Tab(wire)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
