"""Writes a trace as plain text: a tree, each line with its time, a bar on the job's timeline, and what went wrong."""

from collections.abc import Iterator

from orchestrator.telemetry import names
from orchestrator.telemetry.tree import Node, Trace

BAR = 24
UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"))


def lines(trace: Trace, width: int = 110) -> Iterator[str]:
    """The failure first, then one line a span; long pauses are lines of their own."""
    if trace.failing is not None:
        yield _failure(trace, trace.failing)
    for line, _ in rows(trace, width):
        yield line


def rows(trace: Trace, width: int = 110) -> Iterator[tuple[str, Node | None]]:
    """One line a span, with its node; long pauses are lines of their own."""
    pauses = list(trace.pauses)
    for node, prefix in _indented(trace.root):
        if pauses and node.depth == 1 and node.start_ns >= pauses[0][1]:
            start, end = pauses.pop(0)
            yield f"  … nothing ran for {duration((end - start) / 1e6)} …", None
        title = f"{prefix}{title_of(node)}"
        room = width - BAR - 14
        title = title if len(title) <= room else f"{title[: room - 1]}…"
        yield f"{title:<{room}} {duration(node.duration_ms):>9} |{bar(trace, node)}|", node
    if trace.unreadable:
        yield f"({trace.unreadable} rows of this trace could not be read)", None


def title_of(node: Node) -> str:
    """A span in a few words: what it is, which attempt, and how it ended."""
    marks: list[str] = []
    if names.STEP in node.attributes:
        marks.append(position_of(node))
    if node.attributes.get(names.ATTEMPT, 1) != 1:
        marks.append(f"attempt {node.attributes[names.ATTEMPT]}")
    if node.attributes.get(names.REPLAYED):
        marks.append("replayed")
    if node.attributes.get(names.CACHED):
        marks.append("cached")
    outcome = str(node.attributes.get(names.OUTCOME, "failed" if node.failed else ""))
    if node.failed or outcome not in {"", "succeeded"}:
        marks.append(outcome)
    if node.open:
        marks.append("not ended")
    marks += [*(f"goes on from {_said_of(before)}" for before in node.before), *(f"job {job}" for job in node.jobs)]
    if node.orphan:
        marks.append("its parent was lost")
    return f"{node.name} ({', '.join(marks)})" if marks else node.name


def _said_of(before: Node) -> str:
    """Which attempt it was, and how it ended."""
    which = (
        f"attempt {before.attributes.get(names.ATTEMPT, 1)} of step {before.attributes.get(names.STEP, before.name)}"
    )
    return f"{which}: {'not ended' if before.open else before.attributes.get(names.OUTCOME, 'ended')}"


def position_of(node: Node) -> str:
    """Say "step 7 of 12"."""
    return f"step {node.attributes[names.STEP_NUMBER]} of {node.attributes[names.STEP_TOTAL]}"


def bar(trace: Trace, node: Node, width: int = BAR) -> str:
    """When the span was, within the job's whole time without its pauses."""
    start, end = trace.place(node)
    first = min(int(start * width), width - 1)
    last = max(min(round(end * width), width), first + 1)
    return f"{' ' * first}{('!' if node.failed else '=') * (last - first)}{' ' * (width - last)}"


def duration(ms: float) -> str:
    """A duration as people say it."""
    seconds = ms / 1e3
    for unit_s, unit in UNITS_S:
        if seconds >= unit_s * 2:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{ms:.1f} ms"


def _failure(trace: Trace, failing: Node) -> str:
    step, kind = trace.failed_step, failing.attributes.get(names.ERROR_TYPE)
    where = f"{position_of(step)} ({step.attributes[names.STEP]}): " if step and step is not failing else ""
    return f"failed: {where}{title_of(failing)}: {f'{kind}: ' if kind else ''}{failing.message or 'no message'}"


def _indented(root: Node) -> Iterator[tuple[Node, str]]:
    stack: list[tuple[Node, str, str]] = [(root, "", "")]
    while stack:
        node, here, below = stack.pop()
        yield node, here
        for i, child in enumerate(reversed(node.children)):
            stack.append((child, below + ("└ " if i == 0 else "├ "), below + ("  " if i == 0 else "│ ")))
