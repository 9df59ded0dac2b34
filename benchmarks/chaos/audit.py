"""What must be true after the run. Every violation is a line that names the job, or the key, that shows it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.chaos.errands import CLOSED, EFFECTS
from benchmarks.chaos.story import Story
from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop
from tools.testing import Recorded

INDEXES = tuple(keys.INDEXES[name] for name in ("marks", "queues", "reached", "workers"))
LASTING = (*INDEXES, keys.FAMILIES["jobs"], keys.FAMILIES["seen"], "_kombu.")
"""How keys without a TTL may begin: jobs, their counts, who lived today, queues' marks, kombu's."""


def violations(stories: Sequence[Story], effects: Sequence[Recorded], attempts: Sequence[Recorded]) -> Iterator[str]:
    """Of the jobs, and of what was done for them."""
    done, asked = _by_job(effects), _by_job(attempts)
    for story in stories:
        for what in (*_ending(story), *_effects(story, done.pop(story.id, [])), *_budget(story, asked[story.id])):
            yield f"job {story.id} ({story.workflow}, {story.item}): {what}"
    for job, strangers in done.items():
        yield f"job {job}: it is not among ours, and had {len(strangers)} effects"


def _by_job(recorded: Sequence[Recorded]) -> defaultdict[str, list[Recorded]]:
    jobs: defaultdict[str, list[Recorded]] = defaultdict(list)
    for one in recorded:
        if one.key:
            jobs[one.key.partition(".")[0]].append(one)
    return jobs


def _ending(story: Story) -> Iterator[str]:
    """It succeeded, and each step, the join among them, ended once."""
    if story.record.status != "succeeded":
        error = story.record.fields.get("error", "") or [question.prompt for question in story.record.questions]
        yield f"it is {story.record.status}: {error}"
        return
    steps = {step.name: step for step in story.record.steps()}
    for name in steps:
        ended = sum((event.type, event.step) == ("succeeded", name) for event in story.events)
        if ended != 1:
            yield f"step {name} succeeded {ended} times"
    expected = {name: _key(story, name) for name in CLOSED[story.workflow]}
    if (closed := steps["close"].output) != expected:
        yield f"its result is {closed}, not {expected}"


def _key(story: Story, step: str) -> str:
    return f"{story.id}.{step}:1"


def _effects(story: Story, done: Sequence[Recorded]) -> Iterator[str]:
    """Each effect once, under its key."""
    happened = sorted((one.tool, str(one.key)) for one in done)
    expected = sorted((tool, _key(story, step)) for step, tool in EFFECTS.items())
    if happened != expected:
        yield f"its effects were {happened}, not {expected}"


def _budget(story: Story, asked: Sequence[Recorded]) -> Iterator[str]:
    """Nothing reserved; spent is what the journal says was sent; what reached a server was paid."""
    spend = story.record.spend
    reserved = {kind: line.reserved for kind, line in spend.lines.items() if line.reserved}
    if reserved:
        yield f"still reserved: {reserved}"
    if spend.steps.spent != len(story.record.steps()):
        yield f"{spend.steps.spent} steps were paid, not {len(story.record.steps())}"
    sent = sum(int(call["sends"]) for call in story.calls) - story.refunded
    if spend.tool_calls.spent != sent:
        yield f"{spend.tool_calls.spent} tool calls were paid; the journal has {sent}"
    if len(asked) > spend.tool_calls.spent:
        reached = sorted(f"{one.tool} {one.key}" for one in asked)
        events = [event.data for event in story.events if event.type == "call"]
        yield f"{reached} reached a server, and {spend.tool_calls.spent} were paid: {story.calls}, {events}"


def left_behind(client: SyncClient) -> list[str]:
    """What indexes and queues still have, as "name: members"."""

    def ask(*words: Any) -> Any:
        return without_loop(client.command(*words))

    sizes = {name: ask("ZCARD", keys.INDEXES[name]) for name in ("leases", "again", "begun", "doubts", "deadlines")}
    sizes["waits"] = ask("HLEN", keys.INDEXES["waits"])
    for queue in (name.decode() for name in ask("SMEMBERS", keys.INDEXES["queues"])):
        sizes[f"ready:{queue}"] = ask("ZCARD", keys.FAMILIES["ready"] + queue)
        sizes[keys.queue(queue)] = ask("LLEN", keys.queue(queue))
        sizes[keys.redrive_queue(queue)] = ask("LLEN", keys.redrive_queue(queue))
    for status in ("queued", "running", "waiting"):
        sizes[f"jobs {status}"] = ask("ZCARD", keys.jobs(status))
    return [f"{name}: {size}" for name, size in sizes.items() if size]


def without_ttl(client: SyncClient) -> Iterator[str]:
    """Keys that nobody will ever remove, and that are none of the named few."""
    cursor: Any = b"0"
    while True:
        cursor, page = without_loop(client.command("SCAN", cursor, "COUNT", 1_000))
        for key in page:
            lasting = key.decode().startswith(LASTING)
            if not lasting and without_loop(client.command("PTTL", key)) == -1:
                yield f"key {key.decode()} has no time to live"
        if cursor == b"0":
            return
