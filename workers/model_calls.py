"""The model calls of one attempt: each journaled like a tool call, its tokens and money reserved before it is sent."""

from collections.abc import Callable
from dataclasses import replace

import structlog
from pydantic import TypeAdapter, ValidationError

from orchestrator.models import ModelName
from orchestrator.prices import Prices, UnknownPrice
from orchestrator.state.cache import ReplyCache
from orchestrator.state.calls import NOTHING, Cost, State
from orchestrator.state.jobs import JobStore
from orchestrator.state.records import encode
from orchestrator.telemetry import Span, Spans, names
from orchestrator.telemetry.names import Happening, Outcome
from orchestrator.telemetry.redaction import as_text, shows_secret
from tools.effects import Effect
from tools.outcome import OutcomeUnknown, Rejected, ToolFailure, Unavailable
from workers.models import Models
from workers.prompt import Prompt, Reply
from workers.record import Record
from workers.replay import Call
from workers.verdict import Failed, Later, Stop

PROVIDERS = {"google": "gcp.gemini", "http": "openai", "https": "openai"}
"""OpenTelemetry's word for who serves a model, where ours is another; a model named by URL speaks OpenAI's protocol."""
log = structlog.get_logger(__name__)
Fits = Callable[[Reply], bool]
_REPLY = TypeAdapter(Reply)
MODEL = "model"
NONE = "no language model is set: SUREFOOT_MODEL names one (docs/models.md)"


class ModelCalls:
    """Asks models for one attempt of one step."""

    def __init__(
        self,
        record: Record,
        models: Models,
        prices: Prices,
        spans: Spans,
        jobs: JobStore,
        cache: ReplyCache | None = None,
    ) -> None:
        """`cache`: answers are kept in it; None: each question is asked."""
        self._record, self._models, self._prices, self._spans, self._jobs = record, models, prices, spans, jobs
        self._cache = cache

    async def ask(self, prompt: Prompt, timeout_s: float, fits: Fits | None = None) -> Reply:
        """One question: from the journal, or from the first model that answers it; all of them have its number.

        `fits`: which answers may be kept and given again; None: none may.

        Raises:
            Rejected: there is no model, or each of them said a definite no.
            Stop: no model answers now, or a ceiling is reached.
        """
        call = await self._record.replay.ask(MODEL, prompt.asked)
        first = str(self._models.names[0]) if self._models.names else "none"
        most, key = prompt.max_tokens or self._models.max_tokens, self._record.key(call.number)
        with (
            self._spans.model(self._record.job_id, first, prompt.told, max_tokens=most, key=key) as span,
            self._record.telling(span),
        ):
            if call.row is not None and call.row.finished:
                reply = Reply.recorded(await self._record.stored(call.number))
                self._record.meter.replayed(MODEL)
                _tell(span, reply, replayed=True)
                return reply
            if not self._models.names:
                raise Rejected(MODEL, NONE)
            failures: list[ToolFailure] = []
            for name in self._models.names:
                try:
                    reply = await self._kept_or_from(name, prompt, call, most, timeout_s, span, fits)
                except ToolFailure as failure:
                    span.event(Happening.MODEL_FAILED, model=str(name), why=as_text(str(failure)))
                    failures.append(failure)
                else:
                    _tell(span, reply, replayed=False)
                    return reply
            raise _together(failures)

    async def _kept_or_from(
        self, name: ModelName, prompt: Prompt, call: Call, most: int, timeout_s: float, span: Span, fits: Fits | None
    ) -> Reply:
        """What this model answered before to the very same request of this tenant, else what it answers now.

        Only what stands alone is kept: what a model with tools says depends on what they answered.
        """
        if self._cache is None or fits is None or prompt.tools:
            return await self._from(name, prompt, call, most, timeout_s, span)
        tenant, request = self._record.claim.tenant, prompt.to(str(name), most)
        reply = _kept(await self._cache.find(tenant, request))
        if reply is not None and fits(reply):
            await self._record.begin(call, NOTHING, Effect.READ.value, span)
            await self._record.settle(call.number, "done", reply.record(), NOTHING)
            self._record.meter.cached(str(name))
            return reply
        reply = await self._from(name, prompt, call, most, timeout_s, span)
        said = encode([reply.text, [each.arguments for each in reply.calls]])
        if fits(reply) and not shows_secret(said):
            await self._cache.keep(tenant, request, encode(replace(reply, raw=[]).record()))
        return reply

    async def _from(
        self, name: ModelName, prompt: Prompt, call: Call, most: int, timeout_s: float, span: Span
    ) -> Reply:
        """Reserve the most that it may cost, ask this model, and settle it whatever comes of it."""
        if not self._record.sure:
            raise Unavailable(str(name), "the step may not be ours any more")
        bound = await self.cost(name, prompt.most_input_tokens, most, span)
        await self._record.begin(call, bound, Effect.READ.value, span)
        try:
            with self._record.meter.asking(str(name)):
                reply = await self._models.ask(name, prompt, timeout_s)
        except (Unavailable, Rejected):
            await self._record.settle(call.number, "unsent", None, NOTHING)
            raise
        except OutcomeUnknown:
            await self._settle(name, call, "unknown", None, bound)
            raise
        reply = _counted(reply, bound, span)
        used = await self.cost(name, reply.input_tokens, reply.output_tokens, span)
        await self._settle(name, call, "done", reply.record(), used)
        return reply

    async def _settle(self, name: ModelName, call: Call, state: State, value: object, cost: Cost) -> None:
        self._record.meter.charged(str(name), cost, self._record.claim.tenant)
        await self._record.settle(call.number, state, value, cost)

    async def cost(self, name: ModelName, input_tokens: int, output_tokens: int, span: Span) -> Cost:
        """So many tokens of this model; without a price they cost no money, where money has no ceiling."""
        try:
            money = self._prices.tokens(str(name), input_tokens=input_tokens, output_tokens=output_tokens)
        except UnknownPrice as error:
            record = await self._jobs.read(self._record.job_id)
            if record.spend.usd.ceiling is not None or "day:usd" in record.fields:
                raise Stop(Failed("rejected", str(error))) from error
            span.event(Happening.UNPRICED, model=str(name))
            money = 0
        return Cost(tool_calls=0, input_tokens=input_tokens, output_tokens=output_tokens, micro_usd=money)


def _counted(reply: Reply, bound: Cost, span: Span) -> Reply:
    """With what was reserved for what its provider does not count: that is never free."""
    read = reply.input_tokens or bound.input_tokens
    wrote = reply.output_tokens or (bound.output_tokens if reply.text or reply.calls else 0)
    if (read, wrote) == (reply.input_tokens, reply.output_tokens):
        return reply
    span.event(Happening.UNCOUNTED, model=reply.model)
    return replace(reply, input_tokens=read, output_tokens=wrote)


def _kept(text: bytes) -> Reply | None:
    """An answer as it was kept: of this call nothing is read, written or paid; None where it is none."""
    try:
        return replace(_REPLY.validate_json(text), input_tokens=0, output_tokens=0, cached=True) if text else None
    except ValidationError as error:
        log.warning("a kept answer of a model cannot be read", error=str(error))
        return None


def _tell(span: Span, reply: Reply, *, replayed: bool) -> None:
    span.set(names.RESPONSE_MODEL, reply.model)
    provider = reply.model.partition(":")[0]
    span.set(names.PROVIDER, PROVIDERS.get(provider, provider))
    span.set(names.FINISH_REASON, [reply.finish])
    span.set(names.INPUT_TOKENS, reply.input_tokens)
    span.set(names.OUTPUT_TOKENS, reply.output_tokens)
    span.set(names.OUTPUT_MESSAGES, as_text(reply.told))
    span.set(names.REPLAYED, replayed)
    if reply.cached:
        span.set(names.CACHED, True)
    span.end_as(Outcome.SUCCEEDED)


def _together(failures: list[ToolFailure]) -> Exception | Stop:
    """A no, if all say no; else the step comes back when the first of them may answer again."""
    said = "; ".join(map(str, failures))
    passing = [failure for failure in failures if not isinstance(failure, Rejected)]
    if not passing:
        return Rejected(MODEL, said)
    wait_s = min(failure.retry_after_s or 0.0 for failure in passing)
    return Stop(Later(said, wait_s))
