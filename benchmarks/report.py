"""Figures as ratios to the floor, and as a table."""

from collections.abc import Mapping, Sequence

Line = tuple[str, Mapping[str, float]]
COLUMNS = {
    "jobs_per_s": "jobs/s",
    "cpu_ms_per_job": "CPU ms a job",
    "p50_ms": "idle p50 ms",
    "p95_ms": "idle p95 ms",
    "pss_mb": "PSS MB",
    "client_cpu_ms_per_job": "client CPU ms a job",
}


def ratios(lines: Sequence[Line], floor: str) -> dict[str, dict[str, float]]:
    """Each contender's figures over the mean of the floor's, which ran before and after it."""
    floors = [figures for name, figures in lines if name == floor]
    mean = {column: sum(figures[column] for figures in floors) / len(floors) for column in COLUMNS}
    return {
        name: {column: figures[column] / mean[column] for column in COLUMNS} for name, figures in lines if name != floor
    }


def table(lines: Sequence[Line], compared: Mapping[str, Mapping[str, float]], jobs: int, singles: int) -> str:
    """A Markdown table: the ratio stands behind each figure."""
    rows = [["", *COLUMNS.values()], ["---", *("---:" for _ in COLUMNS)]]
    for name, figures in lines:
        against = compared.get(name)
        cells = [f"{figures[column]:,.1f}" + (f" ({against[column]:.2f}x)" if against else "") for column in COLUMNS]
        rows.append([name, *cells])
    head = (
        f"{jobs:,} jobs at once, then {singles} one by one; 5 steps and 6 tool calls a job; append-only file on,\n"
        "events and trace off unless said; in brackets: over the mean of bare Celery before and after.\n"
    )
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in rows)])
