"""All key names of Surefoot in Redis; the Lua scripts get theirs from here too.

Everything a job owns and every index carry one hash tag, so that one script may touch them all on a cluster.
"""

import hashlib

TAG = "{0}"
PREFIX = f"sf:{TAG}:"
FORMAT = "1"
"""Of the job record, written when it is opened. A worker leaves records of another format to workers that know it."""

INDEXES = {
    "leases": f"{PREFIX}leases",  # zset <job>.<step>: held until, ms
    "again": f"{PREFIX}again",  # zset <job>.<step>: re-driven or retrying, look again at, ms
    "waits": f"{PREFIX}waits",  # hash <job>.<step>: <the last wait after a re-drive, ms>:<re-driven at, ms>
    "marks": f"{PREFIX}marks",  # hash queue: steps offered to it until then have been fetched, ms
    "queues": f"{PREFIX}queues",  # set: queues that ever got a step
    "deadlines": f"{PREFIX}deadlines",  # zset job, or <job> <question>: its deadline, ms
    "begun": f"{PREFIX}begun",  # zset <job>.<step>:<call>: begun and not settled, the lease at the time ends, ms
    "doubts": f"{PREFIX}doubts",  # zset <job> <question>: a call in doubt, asked at, ms
    "workers": f"{PREFIX}workers",  # zset process: last heard of, ms
    "reached": f"{PREFIX}reached",  # hash <status> <workflow>: how many jobs ever came to it
    "turn": f"{PREFIX}turn",  # string: one of the sweepers is at it
}
FAMILIES = {
    "ready": f"{PREFIX}ready:",  # + queue: zset <job>.<step>: offered at, ms
    "seen": f"{PREFIX}seen:",  # + queue: zset of its last marks: seen at, ms
    "jobs": f"{PREFIX}jobs:",  # + status: zset job: since, ms
    "job": f"{PREFIX}job:",  # + job: hash, the record
    "calls": f"{PREFIX}calls:",  # + job: hash, the journal
    "events": f"{PREFIX}events:",  # + job: stream
    "ends": f"{PREFIX}ends:",  # + job: stream, one entry: how often it has come to wait for people, or to its end
    "spans": f"{PREFIX}spans:",  # + job: list, the trace: packs of spans
    "key": f"{PREFIX}key:",  # + digest of tenant and submission key: string, the job
    "tenant": f"{PREFIX}tenant:",  # + digest of the tenant: hash, what its jobs spend today
    "cache": f"{PREFIX}cache:",  # + digest of tenant and request: string, what a model answered
    "worker": f"{PREFIX}worker:",  # + name: string, what a process said of itself lately
}
UNDO = "undo~"
"""Before a step's name: the work of undoing it. No step can be named so."""
STOPS = f"{PREFIX}stops"
"""Channel: ids of jobs whose running steps must stop now."""


def job(job_id: str) -> str:
    """The job's record."""
    return FAMILIES["job"] + job_id


def calls(job_id: str) -> str:
    """The journal: the stored calls of the job's steps."""
    return FAMILIES["calls"] + job_id


def events(job_id: str) -> str:
    """The job's event stream."""
    return FAMILIES["events"] + job_id


def ends(job_id: str) -> str:
    """Where those who want the job's result wait."""
    return FAMILIES["ends"] + job_id


def spans(job_id: str) -> str:
    """The job's trace."""
    return FAMILIES["spans"] + job_id


def jobs(status: str) -> str:
    """The index of the jobs that have this status."""
    return FAMILIES["jobs"] + status


def purse(tenant: str) -> str:
    """A tenant's name in keys; hashed, since tenants may be named anything."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:40]


def of_tenant(tenant: str, what: str) -> str:
    """Something of a tenant's as a digest, since both may be named anything."""
    return hashlib.sha256(f"{len(tenant)}:{tenant}{what}".encode()).hexdigest()


def submission(tenant: str, key: str) -> str:
    """Where a submission key remembers its job."""
    return FAMILIES["key"] + of_tenant(tenant, key)[:40]


def cached(name: str) -> str:
    """What a model answered, by `of_tenant` of the request."""
    return FAMILIES["cache"] + name


def worker(name: str) -> str:
    """What a process said of itself lately."""
    return FAMILIES["worker"] + name


def queue(name: str) -> str:
    """The broker's queue of steps: a list on Redis."""
    return f"{name}.{TAG}"


def redrive_queue(name: str) -> str:
    """Where re-driven steps travel, so that they do not wait behind the backlog."""
    return f"{name}.again.{TAG}"


def lua() -> str:
    """The names as Lua, put before every script."""
    fixed = ", ".join(f"{name} = '{key}'" for name, key in INDEXES.items())
    families = ", ".join(f"{name} = '{key}'" for name, key in FAMILIES.items())
    words = f"local TAG, STOPS, FORMAT, UNDO = '{TAG}', '{STOPS}', '{FORMAT}', '{UNDO}'"
    return f"local INDEX = {{{fixed}}}\nlocal OF = {{{families}}}\n{words}\n"
