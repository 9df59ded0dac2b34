"""`make screenshots`: the pictures of docs/monitoring.md, of a real fleet, taken by a headless Chromium on PATH."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from orchestrator import Budget, Orchestrator
from orchestrator.embedded import EmbeddedServer
from orchestrator.fleet import Fleet, Roster
from orchestrator.settings import load
from tests.support.stage import ROOT
from tests.support.waiting import wait_until

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 150_000
TRIP = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
DATELESS = "Four days of hiking around Denver from New York, two people, under 2,500 USD"
COLUMNS, CHARACTER, LINE = 110, 6.7, 14.2
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
PAGE = (
    "<meta charset='utf-8'><body style='margin:12px;background:#16181d;color:#e6e6e6'>"
    "<pre style='font:11px/1.25 \"DejaVu Sans Mono\",monospace;margin:0'>{code}</pre>"
)


def picture(name: str, url: str, width: int, height: int) -> None:
    """One page as a small PNG."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("no chromium on PATH: apt-get install -y chromium")
    target = IMAGES / f"{name}.png"
    words = [browser, *BROWSER, "--hide-scrollbars", f"--window-size={width},{height}", "--virtual-time-budget=8000"]
    subprocess.run([*words, f"--screenshot={target}", url], check=True, timeout=120, stderr=subprocess.DEVNULL)
    if target.stat().st_size > MOST_BYTES:
        sys.exit(f"{target} has {target.stat().st_size:,} bytes; at most {MOST_BYTES:,}")


def terminal(name: str, folder: Path, environment: dict[str, str], *words: str) -> None:
    """What a command prints on a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "surefoot", *words],
        env=environment | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    shown = f"\x1b[1m$ surefoot {' '.join(words)}\x1b[0m\n{done.stdout}"
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS + 2, file=nowhere)
        console.print(Text.from_ansi(shown))
        html = console.export_html(inline_styles=True, code_format=PAGE, theme=SVG_EXPORT_THEME)
    (folder / f"{name}.html").write_text(html)
    lines = shown.count("\n") + 2
    picture(name, f"file://{folder}/{name}.html", round((COLUMNS + 4) * CHARACTER), round(lines * LINE) + 24)


def main() -> None:
    """Three trips: one that succeeds, one that asks, one that fails at its ceiling."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sf-") as home, EmbeddedServer(Path(home)) as server:
        settings = load(home=Path(home), redis_url=server.redis_url, version="1.4.2")
        environment = os.environ | {"SUREFOOT_HOME": home, "SUREFOOT_REDIS_URL": server.redis_url}
        os.environ["SUREFOOT_VERSION"] = "1.4.2"
        with Fleet(settings, Roster(workers=2, flower_port=0)) as fleet:
            fleet.child("flower").wait_ready()
            for name in ("worker-1", "worker-2"):
                child = fleet.child(name)
                wait_until(lambda child=child: "ready." in child.process.output(), f"{name} is ready")
            app = Orchestrator(redis_url=server.redis_url, home=Path(home))
            app.submit(TRIP, tenant="acme").result(120)
            app.submit(DATELESS, tenant="acme")
            failed = app.submit(TRIP, tenant="globex", budget=Budget(tool_calls=9))
            wait_until(lambda: failed.status.final, "it has failed")
            wait_until(lambda: any(b"invoke_agent" in row for row in failed.spans), "its spans are there")
            step = failed.record.fields["failing"]
            for name, *words in (["top", "top", "--once"], ["jobs", "jobs"], ["trace", "trace", failed.id]):
                terminal(name, Path(home), environment, *words)
            assert fleet.flower
            url = fleet.flower.url.replace("http://", f"http://{fleet.flower.credentials}@")
            picture("flower-tasks", f"{url}/tasks", 1600, 520)
            picture("flower-task", f"{url}/task/{failed.id}.{step}", 1200, 620)
            picture("flower-workers", f"{url}/workers", 1200, 420)
            app.close()


if __name__ == "__main__":
    main()
