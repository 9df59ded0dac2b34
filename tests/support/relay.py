"""A TCP relay in a process of its own, to be cut: `python -m tests.support.relay PORT TARGET_PORT`."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Relay:
    """Between its port and another port of this machine."""

    def __init__(self, target: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._target = target
        self.mend()

    def mend(self) -> None:
        """Relay again."""
        command = [sys.executable, "-m", "tests.support.relay", str(self.port), str(self._target)]
        self._process = subprocess.Popen(command, cwd=ROOT)
        wait_until(self._answers, "the relay listens")

    def cut(self) -> None:
        """All connections end at once, and new ones are refused."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Half-open: connections stay, and nothing comes through; new ones get no answer."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return  # the other side hears of it by the close
    finally:
        writer.close()


async def _serve(port: int, target: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
