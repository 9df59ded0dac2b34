"""What a model answered is given again to the very same request of its tenant, where a cache is set."""

from typing import Any

import pytest
from pydantic_core import from_json

from orchestrator import Budget, JobFailed
from orchestrator.state import keys
from orchestrator.state.cache import LARGEST, ReplyCache
from orchestrator.state.client import without_loop as do
from orchestrator.state.scripts import Scripts
from orchestrator.telemetry import names
from orchestrator.telemetry.timeline import lines
from orchestrator.telemetry.tree import Trace
from tests.models.conftest import Scripted, chat
from tests.state.conftest import Stores, stores_on
from tests.support.waiting import wait_until
from tools.testing.model import CutsOff, Refuses, Says, answers
from workers.generate import repair
from workers.prompt import Called, Reply

pytestmark = pytest.mark.xdist_group("models-cache")
SETTINGS = {"model_cache_s": 60}
OSLO = {"city": "Oslo", "nights": 2}


@pytest.fixture
def redis(play: Scripted) -> Any:
    """The commands of the stage's server, on which nothing is kept yet."""
    stores = stores_on(play.stage.server.url)
    for key in stores.command("KEYS", keys.FAMILIES["cache"] + "*"):
        stores.command("DEL", key)
    yield stores.command
    stores.client.close()


def kept(redis: Any) -> list[bytes]:
    return redis("KEYS", keys.FAMILIES["cache"] + "*")


def test_the_same_request_of_a_tenant_is_paid_once(play: Scripted, redis: Any) -> None:
    play.first.says(answers(**OSLO))
    paid = play.submit("understand", tenant="acme")
    assert paid.result(30) == OSLO
    free = play.submit("understand", tenant="acme", budget=Budget(tokens=0, usd=0))
    assert free.result(30) == OSLO
    assert len(play.first.requests) == 1
    assert (paid.spend.tokens.spent, free.spend.tokens.spent, free.spend.usd.spent) == (50, 0, 0)
    (call,) = free.calls
    assert (call["state"], call["out"]["cached"], call["out"]["input_tokens"]) == ("done", True, 0)
    assert "cached" not in paid.calls[0]["out"], "workers of before the cache read it, too"
    told = chat(free)["attributes"]
    assert (told[names.CACHED], told[names.REPLAYED], told[names.INPUT_TOKENS]) == (True, False, 0)
    assert names.CACHED not in chat(paid)["attributes"]
    trace = Trace.read(free.spans)
    assert trace is not None
    assert any(line.lstrip("├└│ ").startswith("chat ") and "(cached)" in line for line in lines(trace, 200))
    (key,) = kept(redis)
    assert 0 < redis("TTL", key) <= 60
    assert b"two nights" not in redis("GET", key), "of the question only a digest is kept"
    assert from_json(redis("GET", key))["raw"] == [], "of the answer what was asked for"


@pytest.mark.parametrize(
    "other", [{"tenant": "globex"}, {"text": "two nights in Bergen"}, {"max_tokens": 101}, {"workflow": "thrifty"}]
)
def test_whoever_asks_otherwise_pays(play: Scripted, redis: Any, other: dict[str, Any]) -> None:
    play.first.clear(otherwise=answers(**OSLO))
    play.submit("understand", tenant="acme").result(30)
    asked = {"workflow": "understand", "tenant": "acme", **other}
    job = play.submit(asked.pop("workflow"), **asked)
    job.result(30)
    assert (len(play.first.requests), job.spend.tokens.spent) == (2, 50)


def test_what_failed_or_does_not_fit_is_not_kept(play: Scripted, redis: Any) -> None:
    play.first.says(answers(city="Oslo", nights=0), answers(city="Oslo"))
    with pytest.raises(JobFailed):
        play.submit("understand").result(30)
    for line in (Refuses(503), CutsOff()):
        play.first.says(line, Says(""))
        play.second.says(Refuses(400))
        play.submit("thrifty").result(30)
    play.first.says(Says("half of it", finish="length"), Says("the key is sk-abcdefghijklmnop"))
    for text in ("half", "secret"):
        play.submit("thrifty", text).result(30)
    assert kept(redis) == []


def test_each_model_of_a_chain_has_its_own(play: Scripted, redis: Any) -> None:
    play.first.says(Refuses(500))
    play.second.says(Says("from the second"))
    assert play.submit("thrifty").result(30) == {"said": "from the second"}
    play.first.says(Says("from the first"))
    assert play.submit("thrifty").result(30) == {"said": "from the first"}
    assert play.submit("thrifty").result(30) == {"said": "from the first"}
    assert (len(play.first.requests), len(play.second.requests), len(kept(redis))) == (2, 1, 2)


def test_a_model_with_tools_is_asked_each_time(play: Scripted, redis: Any) -> None:
    for _ in range(2):
        play.first.says(Says(calls=[("desk_search", {"what": "room"})]), answers(**OSLO))
        assert play.submit("agent").result(30) == OSLO
    assert (len(play.first.requests), kept(redis)) == (4, [])


def test_a_cached_answer_is_on_record_and_replayed_when_it_is_kept_no_more(play: Scripted, redis: Any) -> None:
    play.first.says(Says("suite"))
    assert play.submit("unasked").result(30)["booked"] == "suite"
    job = play.submit("held")
    wait_until(lambda: job.spend.tool_calls.reserved == 1, "the tool is called after the model")
    for key in kept(redis):
        redis("DEL", key)
    play.stage.kill(play.stage.workers[-1])
    play.stage.worker()
    assert job.result(60)["booked"] == "suite"
    assert (len(play.first.requests), job.spend.tokens.spent, job.steps[0].attempts) == (1, 0, 2)
    told = chat(job)["attributes"]
    assert (told[names.CACHED], told[names.REPLAYED]) == (True, True)
    assert kept(redis) == [], "what is replayed is not kept anew"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"text": 1}', '{"text":"x"}', "x" * (LARGEST + 1), None])
def test_what_cannot_be_read_is_asked_anew(play: Scripted, redis: Any, text: str | None) -> None:
    play.first.clear(otherwise=answers(**OSLO))
    play.submit("understand").result(30)
    (key,) = kept(redis)
    if text is None:  # no text at all
        redis("DEL", key)
        redis("LPUSH", key, "x")
    else:
        redis("SET", key, text)
    assert play.submit("understand").result(30) == OSLO
    assert len(play.first.requests) == 2
    assert play.submit("understand").result(30) == OSLO
    assert len(play.first.requests) == 2, "a good one is kept in its place"


@pytest.mark.parametrize("command", ["getrange", "set"])
def test_who_may_not_read_or_keep_answers_asks_each_time(play: Scripted, redis: Any, command: str) -> None:
    play.first.clear(otherwise=answers(**OSLO))
    redis("ACL", "SETUSER", "default", f"-{command}")
    try:
        for _ in range(2):
            assert play.submit("understand").result(10) == OSLO
    finally:
        redis("ACL", "SETUSER", "default", f"+{command}")
    assert len(play.first.requests) == 2


def test_an_answer_that_fits_no_more_is_repaired_without_what_was_not_kept() -> None:
    call = Called("1", "answer", {"city": "Oslo"})
    told = {"role": "user", "text": "This does not fit the schema: nights. Answer again, with all fields."}
    assert repair(Reply("", [call], "m", "stop", [], 0, 0, cached=True), "nights") == [
        {"role": "model", "raw": []},
        told,
    ]


def test_a_large_answer_is_not_kept(play: Scripted, redis: Any) -> None:
    stores: Stores = stores_on(play.stage.server.url)
    cache = ReplyCache(Scripts(stores.client), 60)
    for size, found in ((LARGEST, LARGEST), (LARGEST + 1, 0)):
        do(cache.keep("t", str(size), "x" * size))
        assert len(do(cache.find("t", str(size)))) == found
    assert do(cache.find("t1", "2")) == do(cache.find("t", "12")) == b""
    stores.client.close()
