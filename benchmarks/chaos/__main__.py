"""`python -m benchmarks.chaos`: jobs go on while workers, sweeper, tool servers and Valkey are killed; then an audit.

Ends with 1 if a job was lost, an effect doubled, a budget wrong, or anything left behind; each is named.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.chaos.driver import AWAY_S
from benchmarks.chaos.run import Conditions, Outcome, play

MOST_SHOWN = 20


def summary(asked: Conditions, outcome: Outcome) -> dict[str, Any]:
    """The figures of the report."""
    stories, took = outcome.stories, outcome.recovery_s
    unasked = Counter(one.tool for one in outcome.attempts)
    return {
        "jobs": asked.jobs,
        "seed": asked.seed,
        "lease_s": asked.lease_s,
        "broker": asked.broker,
        "every_s": asked.every_s,
        "seconds": round(outcome.seconds, 1),
        "jobs_per_s": round(len(stories) / outcome.seconds, 2),
        "ended": dict(Counter(str(story.record.status) for story in stories)),
        "kills": dict(sorted(Counter(kill.kind for kill in outcome.kills).items())),
        "effects": len(outcome.effects),
        "effects_of": dict(sorted(Counter(one.tool for one in outcome.effects).items())),
        "calls_that_arrived": dict(sorted(unasked.items())),
        "retries": sum(story.count("retrying") for story in stories),
        "lost_attempts": sum(len(story.lost) for story in stories),
        "replays": sum(story.replays for story in stories),
        "recoveries": len(took),
        "recovery_p50_s": round(took[len(took) // 2], 2) if took else None,
        "recovery_max_s": round(took[-1], 2) if took else None,
        "longest_wait_s": round(max(story.longest_wait for story in stories), 2),
        "load": round(os.getloadavg()[0], 1),
        "violations": list(outcome.violations),
    }


def report(figures: dict[str, Any]) -> Iterator[str]:
    """One page."""

    def counted(name: str) -> str:
        return ", ".join(f"{number:,} {what}" for what, number in figures[name].items())

    every, away = ("-".join(f"{one:g}" for one in pair) for pair in (figures["every_s"], AWAY_S))
    yield f"seed {figures['seed']}, broker {figures['broker']}, lease {figures['lease_s']:g} s"
    yield f"a SIGKILL every {every} s, back {away} s later"
    yield f"jobs        {figures['jobs']:,} of 5 steps: {counted('ended')}"
    yield f"throughput  {figures['jobs_per_s']:.1f} jobs/s over {figures['seconds']:,.0f} s (load {figures['load']})"
    yield f"kills       {sum(figures['kills'].values())}: {counted('kills')}"
    yield f"effects     {figures['effects']:,} in the tool servers' ledgers: {counted('effects_of')}"
    yield f"calls       {counted('calls_that_arrived')}"
    yield (
        f"attempts    {figures['lost_attempts']:,} cut off by a kill, {figures['retries']:,} retried;"
        f" {figures['replays']:,} calls replayed"
    )
    if figures["recoveries"]:
        yield (
            f"recovery    p50 {figures['recovery_p50_s']:.1f} s, max {figures['recovery_max_s']:.1f} s from a worker's"
            f" kill until a step it held was claimed again ({figures['recoveries']:,} steps)"
        )
    yield f"waiting     at most {figures['longest_wait_s']:.1f} s until a step that could go on was claimed"
    wrong = figures["violations"]
    yield f"violations  {len(wrong)}"
    yield from (f"  {line}" for line in wrong[:MOST_SHOWN])
    if len(wrong) > MOST_SHOWN:
        yield f"  and {len(wrong) - MOST_SHOWN} more"


def _end(number: int, _frame: object) -> NoReturn:
    """All that was started is ended on the way out."""
    sys.exit(128 + number)


def conditions() -> tuple[Conditions, argparse.Namespace]:
    """What the command line asks for, and its words."""
    usual = Conditions()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=usual.jobs, help="jobs of five steps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="who is killed when (default %(default)s)")
    parser.add_argument("--lease", type=float, default=usual.lease_s, help="SUREFOOT_LEASE_S (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0, help="submit evenly over so long (default: as fast as goes)"
    )
    parser.add_argument(
        "--every", type=float, default=2, help="seconds between two kills, half of it to one and a half"
    )
    parser.add_argument(
        "--only-workers", action="store_true", help="kill nothing else, and no worker while no other one is up"
    )
    parser.add_argument("--workers", type=int, default=usual.workers, help="worker processes (default %(default)s)")
    parser.add_argument("--pool", choices=("asyncio", "prefork"), default=usual.pool, help="their pool")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default=usual.broker, help="default %(default)s")
    parser.add_argument("--work", type=float, default=usual.work_s, help="of a step, seconds (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="figures for programs; progress goes to standard error")
    parser.add_argument("--keep", type=Path, help="a new folder for logs and ledgers (default: removed afterwards)")
    options = parser.parse_args()
    every_s = (0.5 * options.every, 1.5 * options.every)
    asked = Conditions(
        options.jobs,
        options.seed,
        options.lease,
        options.seconds,
        work_s=options.work,
        workers=options.workers,
        pool=options.pool,
        broker=options.broker,
        every_s=every_s,
        only_workers=options.only_workers,
    )
    return asked, options


def main() -> int:
    """Parse, run, print."""
    asked, options = conditions()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    if options.keep:
        options.keep.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="sf-chaos-") as name:
        outcome = play(options.keep or Path(name), asked, lambda line: print(line, file=sys.stderr, flush=True))
    figures = summary(asked, outcome)
    print(json.dumps(figures) if options.json else "\n".join(report(figures)))
    return bool(figures["violations"])


if __name__ == "__main__":
    sys.exit(main())
