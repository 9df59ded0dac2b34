"""`python -m benchmarks`: bare Celery, Surefoot, bare Celery again, in one run; figures and ratios."""

import argparse
import json
import os
import sys

from benchmarks import contender
from benchmarks.report import ratios, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs at once (default 1000)")
    parser.add_argument("--singles", type=int, default=50, help="single jobs on an idle system (default 50)")
    parser.add_argument("--also", default="", help=f"variants to add: {', '.join(contender.VARIANTS)}")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args()
    wanted = [name.strip() for name in options.also.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in contender.VARIANTS]
    if unknown:
        parser.error(f"--also: unknown {', '.join(unknown)}; known: {', '.join(contender.VARIANTS)}")
    series = [contender.BARE, contender.SUREFOOT, *(contender.VARIANTS[name] for name in wanted), contender.BARE]
    lines: list[tuple[str, dict[str, float]]] = []
    for each in series:
        print(f"{each.name} ...", file=sys.stderr)
        lines.append((each.name, contender.run(each, options.jobs, options.singles)))
    compared = ratios(lines, floor=contender.BARE.name)
    if options.json:
        runs = [{"name": name, **figures} for name, figures in lines]
        load = os.getloadavg()[0]
        print(
            json.dumps(
                {"jobs": options.jobs, "singles": options.singles, "load": load, "runs": runs, "ratios": compared}
            )
        )
    else:
        print(table(lines, compared, options.jobs, options.singles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
