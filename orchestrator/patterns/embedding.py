"""Texts as vectors on this machine, without a network: wordllama, whose weights come in its wheel (extra `router`)."""

import asyncio
import importlib.util
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidRequest
from orchestrator.patterns.deciders import Embed, Vectors

TOO_LITTLE = "install the extra: pip install 'surefoot[router]'"


def wordllama() -> Embed:
    """What `by_embedding` compares with: 256 numbers a text, made from its words; no network, no key.

    The weights are loaded once a process, beside its event loop, when the first text is compared.

    Raises:
        InvalidRequest: the extra `router` is not installed.
    """
    if importlib.util.find_spec("wordllama") is None:
        raise InvalidRequest(f"routing by wordllama: {TOO_LITTLE}")

    async def embed(texts: Sequence[str]) -> Vectors:
        model = await asyncio.to_thread(_loaded)
        return model.embed(list(texts)).tolist()

    return embed


@cache
def _loaded() -> Any:
    root, quiet = logging.getLogger(), logging.NullHandler()
    root.addHandler(quiet)  # its import would set up the logging of a program that has not done so itself
    try:
        import wordllama as package  # noqa: PLC0415 - imported late
    finally:
        root.removeHandler(quiet)
    home = Path(str(package.__file__)).parent
    return package.WordLlama.load(cache_dir=home, disable_download=True)
