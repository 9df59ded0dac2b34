"""Every name that leaves Surefoot in a span or a metric: the one public table.

Names follow OpenTelemetry's GenAI and MCP conventions where these say something; what is ours starts with `surefoot.`.
"""

from enum import StrEnum

TRACER = "surefoot"

# Span names: operation and target, e.g. "invoke_agent flights". Also the value of `gen_ai.operation.name`.
INVOKE_WORKFLOW = "invoke_workflow"
INVOKE_AGENT = "invoke_agent"
EXECUTE_TOOL = "execute_tool"
CHAT = "chat"


class Stage(StrEnum):
    """Names of the spans for what happens to a job outside its steps."""

    ANSWER = "answer"
    RESUME = "resume"
    CANCEL = "cancel"
    FORK = "fork"


class Happening(StrEnum):
    """Names of the events inside a span."""

    VALIDATED = "surefoot.validated"
    CHECKPOINT = "surefoot.checkpoint"
    BUDGET_LOW = "surefoot.budget.low"
    BUDGET_BUSY = "surefoot.budget.busy"
    BUDGET_REFUSED = "surefoot.budget.refused"
    AGAIN = "surefoot.again"
    DIVERGED = "surefoot.diverged"
    ASKED = "surefoot.asked"
    DECIDED = "surefoot.decided"
    MODEL_FAILED = "surefoot.model.failed"
    UNPRICED = "surefoot.model.unpriced"
    UNCOUNTED = "surefoot.model.uncounted"
    TOOL_CHANGED = "surefoot.tool.changed"
    TOOL_UNPRICED = "surefoot.tool.unpriced"


class Metric(StrEnum):
    """Names of the metrics; what each is stands in `metrics.py`."""

    SWEEPS = "surefoot.sweeps"
    SWEEP_DURATION = "surefoot.sweep.duration"
    FINDINGS = "surefoot.sweep.findings"
    REDRIVES = "surefoot.redrives"
    ATTEMPT_DURATION = "surefoot.attempt.duration"
    QUEUE_WAIT = "surefoot.queue.wait"
    TOOL_DURATION = "surefoot.tool.duration"
    TOOL_USD = "surefoot.tool.usd"
    MODEL_DURATION = "surefoot.model.duration"
    MODEL_TOKENS = "surefoot.model.tokens"
    MODEL_USD = "surefoot.model.usd"
    MODEL_CACHED = "surefoot.model.cached"
    REPLAYS = "surefoot.replays"
    BUDGET_WARNINGS = "surefoot.budget.warnings"
    BUDGET_REFUSALS = "surefoot.budget.refusals"
    LEASES_LOST = "surefoot.leases.lost"
    JOBS = "surefoot.jobs"
    JOBS_OLDEST = "surefoot.jobs.oldest"
    JOBS_REACHED = "surefoot.jobs.reached"
    QUEUE_DEPTH = "surefoot.queue.depth"
    QUEUE_OLDEST = "surefoot.queue.oldest_wait"
    LEASES = "surefoot.leases"
    AGAIN = "surefoot.steps.again"
    CALLS_IN_DOUBT = "surefoot.calls.in_doubt"
    JOBS_IN_DOUBT = "surefoot.jobs.in_doubt"
    PROCESSES = "surefoot.processes"
    LOST = "surefoot.telemetry.lost"
    REDIS_MEMORY = "surefoot.redis.memory"
    REDIS_MEMORY_LIMIT = "surefoot.redis.memory.limit"


class Outcome(StrEnum):
    """How a step, attempt or tool call ended: the values of `surefoot.outcome`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    WAITING = "waiting"
    IN_DOUBT = "in doubt"
    RETRY = "retry"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """What kind of failure it was: the values of `error.type` on our spans."""

    TIMEOUT = "timeout"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    OUTCOME_UNKNOWN = "outcome unknown"
    IN_DOUBT = "in doubt"
    INVALID_DATA = "invalid data"
    DIVERGED = "diverged"
    BUDGET = "budget"
    UNHANDLED = "unhandled"


# Attributes: OpenTelemetry's own.
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
WORKFLOW = "gen_ai.workflow.name"
AGENT = "gen_ai.agent.name"
TOOL = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASON = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - no password
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SERVICE = "service.name"
SERVICE_INSTANCE = "service.instance.id"
STACK = "exception.stacktrace"

# Attributes: ours.
JOB = "surefoot.job.id"
TENANT = "surefoot.tenant"
STEP = "surefoot.step"
STEP_NUMBER = "surefoot.step.number"
STEP_TOTAL = "surefoot.step.total"
ATTEMPT = "surefoot.attempt"
QUEUE_WAIT_MS = "surefoot.queue_wait_ms"
DEDUP_KEY = "surefoot.dedup_key"
EFFECT = "surefoot.effect"
REPLAYED = "surefoot.replayed"
CACHED = "surefoot.cached"
ANSWERS = "surefoot.answers"
OUTCOME = "surefoot.outcome"
STATUS = "surefoot.job.status"
QUEUE = "surefoot.queue"
FINDING = "surefoot.finding"
CEILING = "surefoot.ceiling"
PARTIAL = "surefoot.trace.partial"
CARRIED = "surefoot.carried"
DESTINATION = "surefoot.destination"
PROCESS_STATE = "surefoot.process.state"
CONTENT = frozenset({TOOL_ARGUMENTS, TOOL_RESULT, INPUT_MESSAGES, OUTPUT_MESSAGES, ANSWERS, "prompt", "decision"})
"""What was asked and answered, in attributes of spans and of their events: SUREFOOT_TRACE_CONTENT may leave it out."""
REDACTED_MARK = "[redacted]"
