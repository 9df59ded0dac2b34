"""A proxy before PostgreSQL that loses the answer to the statement a test names."""

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Losing:
    """Passes everything on, until a client's message contains `after`: it goes through, its answer does not."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._folder = parse_qs(parts.query).get("host", [""])[0]
        self._address = parts.hostname or "127.0.0.1", parts.port or 5432
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://postgres@127.0.0.1:{self._listening.getsockname()[1]}{parts.path}?sslmode=disable"
        self.after: bytes | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client, self._connected()), daemon=True).start()

    def _connected(self) -> socket.socket:
        if not self._folder:
            return socket.create_connection(self._address)
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._folder}/.s.PGSQL.5432")
        return server

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        lost = threading.Event()

        def answers() -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(65_536):
                    if lost.is_set():
                        break
                    client.sendall(data)
            _end(client)

        threading.Thread(target=answers, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self.after is not None and self.after in data:
                    lost.set()
                server.sendall(data)
        _end(server)


def _end(connection: socket.socket) -> None:
    """A close alone would wait for the thread that still reads from it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
