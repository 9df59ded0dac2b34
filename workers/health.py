"""`python -m workers.health`: whether the worker or sweeper of this SUREFOOT_HOME swept lately. For health checks."""

import sys
import time

from orchestrator.settings import load
from workers.sweeper import heartbeat

LATE_S = 30.0


def main() -> int:
    """0 if the last sweep is less than 30 s ago, else 1."""
    settings = load()
    try:
        age_s = time.time() - heartbeat(settings).stat().st_mtime
    except OSError as error:
        print(f"no heartbeat: {error}", file=sys.stderr)  # noqa: T201 - a health check's answer
        return 1
    if age_s > LATE_S + settings.sweep_s:
        print(f"the last sweep was {age_s:.0f} s ago", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
