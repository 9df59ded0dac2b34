"""What the two lines of a step in the log cost: `python -m benchmarks.log_lines`. CPU of one process, best of five."""

import logging
import time
from io import StringIO

import structlog

from orchestrator.settings import load
from orchestrator.telemetry.logging import bind, configure

STEPS, RUNS = 2_000, 5
JOB = "0199f2b4c1d27a10b0c1d2e3f4a5b6c7"


def cost_us(level: str) -> float:
    """CPU of the lines of one step, microseconds."""
    configure(load(log_format="json", log_level=level), "surefoot-worker", StringIO())
    log, lines = structlog.get_logger("workers.run"), logging.getLogger("workers.run")
    place = {"number": 7, "of": 12}
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(STEPS):
            bind(job=JOB, step="flights", attempt=1)
            if lines.isEnabledFor(logging.INFO):
                log.info("step starts", **place)
            if lines.isEnabledFor(logging.INFO):
                log.info("step ends", outcome="succeeded", seconds=0.012, job=JOB, step="flights", attempt=1, **place)
        best = min(best, (time.process_time() - began) / STEPS * 1e6)
    return best


if __name__ == "__main__":
    for level in ("INFO", "WARNING"):
        print(f"SUREFOOT_LOG_LEVEL={level:8} {cost_us(level):6.0f} us a step")
