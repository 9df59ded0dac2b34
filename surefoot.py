"""The way in: the command `surefoot`; `python -m surefoot -m MODULE` runs one of its programs.

It imports next to nothing itself, so that Ctrl-C while Python still imports ends it with status 130 and no traceback.
"""

import os
import runpy
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """The command line."""
    quiet = _quiet()
    from orchestrator.cli import main as command  # noqa: PLC0415 - what takes its time

    if quiet:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


def _program(module: str, *words: str) -> None:
    """Run a module as the program it is; it says itself what Ctrl-C means once it has started."""
    _quiet()
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _quiet() -> bool:
    """Let Ctrl-C end the process at once, unless whoever started it had it ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(INTERRUPTED))
    return True


if __name__ == "__main__":
    if sys.argv[1:2] == ["-m"]:
        _program(*sys.argv[2:])
    else:
        main()
