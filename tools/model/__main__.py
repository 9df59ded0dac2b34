"""`python -m tools.model`: serves a GGUF model to this machine until SIGTERM or Ctrl-C."""

import argparse
import sys
from pathlib import Path

from tools.listening import listen, serve
from tools.model.llama import Llama, NotInstalled, shipped
from tools.model.server import application, told

HOST = "127.0.0.1"
"""There is no key to ask for, so only this machine is answered."""


def main() -> int:
    """Load the model, say where it is, and serve it."""
    parser = argparse.ArgumentParser(
        prog="surefoot model serve", description="A small language model, on this machine."
    )
    parser.add_argument("--file", type=Path, help="a model's GGUF file (default: SmolLM2 of the extra local-llm)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    parser.add_argument("--context", type=int, default=8192, help="tokens of prompt and answer together, at most")
    parser.add_argument("--waiting", type=int, default=16, help="requests that wait; more get 429")
    options = parser.parse_args()
    taken = listen(HOST, options.port)
    try:
        engine = Llama(options.file or shipped(), options.context)
    except NotInstalled as error:
        print(f"surefoot model serve: {error}", file=sys.stderr)  # noqa: T201 - a command line's answer
        return 1
    url = f"http://{HOST}:{taken.getsockname()[1]}/v1"

    def ready() -> None:
        print(*told(engine, url), sep="\n", flush=True)  # noqa: T201

    serve(application(engine, options.waiting), taken, ready)
    return 0


if __name__ == "__main__":
    sys.exit(main())
