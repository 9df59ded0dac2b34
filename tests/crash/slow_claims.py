"""Loaded by workers as SUREFOOT_WORKFLOWS: claims are made, and their answers come when the test says so."""

import asyncio
import functools
import os
from pathlib import Path
from typing import Any

from orchestrator.state.steps import StepStore
from tests.support import flows

__all__ = ["flows"]  # the workflows that are run
FOLDER = Path(os.environ["TEST_LEDGER"]).parent
MADE, TOLD = FOLDER / "claim-made", FOLDER / "claim-told"
claim = StepStore.claim


@functools.wraps(claim)
async def slowly(*words: Any) -> Any:
    answer = await claim(*words)
    MADE.touch()
    while not TOLD.exists():  # noqa: ASYNC110 - a file, for the test to make
        await asyncio.sleep(0.01)
    return answer


if os.environ.get("TEST_SLOW_CLAIMS"):
    setattr(StepStore, "claim", slowly)  # noqa: B010 - it takes any words
