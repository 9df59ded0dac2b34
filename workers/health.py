"""One small page of a process: `/healthz` for who restarts it, `/metrics` for Prometheus."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from orchestrator.settings import InvalidSettings, Settings
from orchestrator.telemetry.metrics import Metrics

PATIENCE_S = 5.0
TEXT, PROMETHEUS = "text/plain; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"


class Vitals(Protocol):
    """What is asked how it is."""

    def ailment(self) -> str:
        """What is wrong; empty when all is well."""
        ...


class Page:
    """Serves on SUREFOOT_METRICS_HOST and SUREFOOT_METRICS_PORT, from threads of its own."""

    def __init__(self, settings: Settings, vitals: Vitals, metrics: Metrics) -> None:
        """Take the port.

        Raises:
            InvalidSettings: it is taken, or not ours to take.
        """
        try:
            self._server = ThreadingHTTPServer(
                (settings.metrics_host, settings.metrics_port), _answers(vitals, metrics)
            )
        except (OSError, OverflowError) as error:
            where = f"SUREFOOT_METRICS_HOST={settings.metrics_host} SUREFOOT_METRICS_PORT={settings.metrics_port}"
            raise InvalidSettings(f"{where}: {error}") from error
        threading.Thread(target=self._server.serve_forever, name="surefoot-page", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()


def serve(settings: Settings, vitals: Vitals, metrics: Metrics) -> Page | None:
    """The page, where a port is set."""
    return Page(settings, vitals, metrics) if settings.metrics_port else None


def _answers(vitals: Vitals, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    pages = {
        "/healthz": lambda: _health(vitals),
        "/metrics": lambda: (200, PROMETHEUS, metrics.page()),
    }

    class Answers(BaseHTTPRequestHandler):
        """GET of one of the pages; who sends nothing is not waited for."""

        timeout = PATIENCE_S

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, TEXT, b"/healthz or /metrics\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """One line a scrape says nothing."""

    return Answers


def _health(vitals: Vitals) -> tuple[int, str, bytes]:
    ailment = vitals.ailment()
    return (503, TEXT, f"{ailment}\n".encode()) if ailment else (200, TEXT, b"well\n")
