"""Reads the kept spans of a job back as a tree: what ran when, under what, and where it failed."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from orchestrator.telemetry import names

PAUSE_NS = 5_000_000_000
"""A job of which nothing ran for so long was waiting, not working: the time is named, not drawn."""


@dataclass(eq=False)
class Node:
    """A span and what it led to.

    Attributes:
        kind: internal, client, server, producer or consumer.
        status: unset, ok or error; `message` says what the error was.
        orphan: the span above it is not there (its process was killed before sending it), so it hangs under the root.
        failing: this is where the job's failure comes from.
        before: the spans of this job that it is linked with: it goes on from there.
        jobs: other jobs that it is linked with.
        open: it had not ended when it was kept: it still runs, or its process was killed; `end_ns` is when it was kept.
    """

    name: str
    span_id: str
    parent_id: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    message: str
    attributes: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    links: Sequence[str]
    service: str
    depth: int = 0
    orphan: bool = False
    failing: bool = False
    open: bool = False
    children: list["Node"] = field(default_factory=list["Node"])
    before: list["Node"] = field(default_factory=list["Node"])
    jobs: list[str] = field(default_factory=list[str])

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.status == "error"

    def walk(self) -> Iterator["Node"]:
        """This node and all below, in the order they are shown."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


@dataclass
class Trace:
    """The spans of a job as a tree.

    Attributes:
        root: the job; made up (`name` is "job") while its own span is not there.
        failed_step: the last attempt of the first step that failed for good.
        failing: the node that the job's failure comes from: the deepest error under the failed step.
        pauses: times, as (start, end) in ns, in which nothing ran.
        unreadable: rows that were no spans.
    """

    root: Node
    failed_step: Node | None
    failing: Node | None
    pauses: tuple[tuple[int, int], ...]
    unreadable: int = 0

    @classmethod
    def read(cls, rows: Iterable[bytes]) -> Self | None:
        """The tree of these rows, as `export.row` wrote them; a span's last row counts. None without any span."""
        nodes: dict[str, Node] = {}
        unreadable = 0
        for row in rows:
            node = _node(row)
            if node is None:
                unreadable += 1
            else:
                nodes[node.span_id] = node
        if not nodes:
            return None
        root = _tree(nodes)
        _link(nodes)
        failed_step = _failed_step(root)
        failing = _deepest(failed_step or root)
        if failing is not None:
            failing.failing = True
        return cls(root, failed_step, failing, _pauses(nodes.values()), unreadable)

    @property
    def partial(self) -> bool:
        """Whether the job is not sampled: here is only what went wrong."""
        return bool(self.root.attributes.get(names.PARTIAL))

    @property
    def nodes(self) -> list[Node]:
        """All nodes in the order they are shown."""
        return list(self.root.walk())

    @cached_property
    def start_ns(self) -> int:
        """When the first span began."""
        return min(node.start_ns for node in self.nodes)

    @cached_property
    def end_ns(self) -> int:
        """When the last span ended."""
        return max(node.end_ns for node in self.nodes)

    @cached_property
    def worked_ns(self) -> int:
        """How long the job took, without its pauses."""
        return self.end_ns - self.start_ns - sum(end - start for start, end in self.pauses)

    def place(self, node: Node) -> tuple[float, float]:
        """Where a node begins and ends in the timeline, from 0 to 1; pauses take no room there."""
        whole = max(self.worked_ns, 1)
        return self._worked_until(node.start_ns) / whole, self._worked_until(node.end_ns) / whole

    def _worked_until(self, at_ns: int) -> int:
        paused = sum(min(end, at_ns) - start for start, end in self.pauses if start < at_ns)
        return at_ns - self.start_ns - paused


def _node(row: bytes) -> Node | None:
    try:
        fields = json.loads(row)
        known = {name: fields[name] for name in _FIELDS}
        known |= {"open": bool(fields.get("open")), "links": [str(link) for link in fields["links"]]}
        return Node(**known) if known["end_ns"] >= known["start_ns"] else None
    except (ValueError, TypeError, KeyError):
        return None


_FIELDS = (
    *("name", "span_id", "parent_id", "kind", "start_ns", "end_ns"),
    *("status", "message", "attributes", "events", "links", "service"),
)


def _tree(nodes: Mapping[str, Node]) -> Node:
    """Hang every node under its parent; where the parent is missing, or above itself, under the root."""
    root = next((node for node in nodes.values() if not node.parent_id), None) or _made_up(nodes.values())
    for node in nodes.values():
        if node is not root:
            parent = nodes.get(node.parent_id)
            node.orphan = parent is None and node.parent_id != root.span_id
            (parent or root).children.append(node)
    reached = set(map(id, root.walk()))
    for node in nodes.values():
        if id(node) not in reached:  # in a circle: cut it here
            nodes[node.parent_id].children.remove(node)
            node.orphan = True
            root.children.append(node)
            reached.update(map(id, node.walk()))
    _settle(root)
    return root


def _link(nodes: Mapping[str, Node]) -> None:
    for node in nodes.values():
        for trace_id, _, span_id in (link.partition("-") for link in node.links):
            if trace_id == node.attributes.get(names.JOB):
                node.before += [nodes[span_id]] if span_id in nodes else []
            elif span_id and span_id == trace_id[16:]:
                node.jobs.append(trace_id)


def _settle(root: Node) -> None:
    for node in root.walk():
        node.children.sort(key=lambda child: (child.start_ns, child.end_ns))
        for child in node.children:
            child.depth = node.depth + 1


def _made_up(nodes: Iterable[Node]) -> Node:
    """Stands for a root span that was not kept; most parents name it, as their id comes from the job's."""
    spans = list(nodes)
    job_id = next((str(node.attributes[names.JOB]) for node in spans if names.JOB in node.attributes), "")
    start_ns = min(node.start_ns for node in spans)
    return Node("job", job_id[16:], "", "internal", start_ns, start_ns, "unset", "", {names.JOB: job_id}, (), (), "")


def _failed_step(root: Node) -> Node | None:
    last: dict[str, Node] = {}
    for node in root.walk():
        step = node.attributes.get(names.STEP)
        if isinstance(step, str) and (step not in last or node.start_ns >= last[step].start_ns):
            last[step] = node
    return min((node for node in last.values() if node.failed), key=lambda node: node.end_ns, default=None)


def _deepest(node: Node) -> Node | None:
    if not node.failed:
        return None
    while below := [child for child in node.children if child.failed]:
        node = below[-1]
    return node


def _pauses(nodes: Iterable[Node]) -> tuple[tuple[int, int], ...]:
    """The gaps between spans that are long enough to be named."""
    pauses: list[tuple[int, int]] = []
    reached_ns = 0
    for node in sorted(nodes, key=lambda node: node.start_ns):
        if reached_ns and node.start_ns - reached_ns >= PAUSE_NS:
            pauses.append((reached_ns, node.start_ns))
        reached_ns = max(reached_ns, node.end_ns)
    return tuple(pauses)
