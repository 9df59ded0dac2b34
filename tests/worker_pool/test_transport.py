"""Fetching: several messages a round trip, in order, fair between queues, within the room, and on older servers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer
from redis import Redis

from tests.support.valkey import calls, valkey
from tests.worker_pool.conftest import Theatre
from workers.transport import AT_ONCE, Acks

OPTIONS = {"ack_emulation": False, "body_encoding": None}


class Taker:
    """A consumer of queues that keeps what it gets."""

    def __init__(self, url: str, queues: list[str], prefetch: int = 0, **options: Any) -> None:
        self.connection = Connection(url, transport_options={**OPTIONS, **options})
        self.got: list[Any] = []
        self.messages: list[Any] = []
        self.channel: Any = self.connection.channel()
        self.channel.basic_qos(0, prefetch, False)
        known = [Queue(name, exchange="", routing_key=name) for name in queues]
        self.consumer = Consumer(self.channel, known, on_message=self.take)
        self.consumer.consume()

    def take(self, message: Any) -> None:
        self.got.append(message.payload)
        self.messages.append(message)

    def drain(self, until: int) -> None:
        while len(self.got) < until:
            self.connection.drain_events(timeout=5)


@pytest.fixture(autouse=True)
def alias(monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu.transport import TRANSPORT_ALIASES

    for scheme in ("redis", "rediss"):
        monkeypatch.setitem(TRANSPORT_ALIASES, scheme, "workers.transport:Transport")
    monkeypatch.setattr("kombu.transport._transport_cache", {})  # another test may have connected with kombu's own


Take = Callable[..., Taker]


@pytest.fixture
def take() -> Iterator[Take]:
    takers: list[Taker] = []

    def start(*args: Any, **options: Any) -> Taker:
        takers.append(Taker(*args, **options))
        return takers[-1]

    yield start
    for taker in takers:
        taker.connection.close()


def put(url: str, queue: str, *values: Any, **options: Any) -> None:
    with Connection(url, transport_options={**OPTIONS, **options}) as connection:
        producer = Producer(connection.channel())
        for value in values:
            producer.publish(value, exchange="", routing_key=queue, serializer="json")


def test_messages_come_in_order_many_a_round_trip(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", *range(100))
    taker = take(theatre.server.broker_url, ["one"])
    taker.drain(100)
    assert taker.got == list(range(100))
    assert calls(theatre.redis, "blmpop") == -(-100 // AT_ONCE)
    assert calls(theatre.redis, "brpop") == 0


def test_sixty_queues_cost_one_round_trip_a_fetch_and_none_starves(theatre: Theatre, take: Take) -> None:
    names = [f"q{number:02}" for number in range(60)]
    put(theatre.server.broker_url, names[0], *([names[0]] * 1_000))
    for name in names[1:]:
        put(theatre.server.broker_url, name, name, name)
    taker = take(theatre.server.broker_url, names)
    taker.drain(1_000 + 2 * 59)
    assert calls(theatre.redis, "blmpop") == -(-1_000 // AT_ONCE) + 59
    last_of_the_small = max(place for place, name in enumerate(taker.got) if name != names[0])
    assert last_of_the_small < 60 * 2 + 2 * AT_ONCE, "the long queue had its turn once or twice before all others"


def test_no_more_is_fetched_than_there_is_room(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", *range(20))
    taker = take(theatre.server.broker_url, ["one"], prefetch=6)
    taker.drain(6)
    assert theatre.waiting() == 14
    taker.messages[0].ack()
    taker.messages[1].ack()
    taker.drain(8)
    assert (taker.got, theatre.waiting()) == (list(range(8)), 12)


def test_a_message_is_acknowledged_without_waking_the_consumer_unless_that_makes_room(
    theatre: Theatre, take: Take
) -> None:
    put(theatre.server.broker_url, "one", *range(5))
    taker, soon = take(theatre.server.broker_url, ["one"], prefetch=3), list[Any]()
    acknowledge = Acks(lambda *words: soon.append(words))
    taker.drain(3)
    acknowledge(taker.messages[0].ack_log_error, None, ())
    assert [call.__name__ for (call,) in soon] == ["_nothing"], "it was full, and may sleep"
    for message in taker.messages[1:3]:
        acknowledge(message.ack_log_error, None, ())
    assert len(soon) == 1
    assert [message.acknowledged for message in taker.messages] == [True] * 3
    taker.drain(5)
    acknowledge(taker.messages[3].reject_log_error, None, (), True)
    assert soon[1:] == [(taker.messages[3].reject_log_error, None, (), True)], "it talks to the broker: not from here"
    assert not taker.messages[3].acknowledged


def test_a_rejected_message_goes_back_to_the_head_as_it_was(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", "first", "second", "third")
    before = theatre.redis.lrange("one", 0, -1)
    taker = take(theatre.server.broker_url, ["one"], prefetch=2)
    taker.drain(2)
    taker.consumer.cancel()
    for message in reversed(taker.messages):
        message.reject(requeue=True)
    again = theatre.redis.lrange("one", 0, -1)
    for was, now in zip(map(json.loads, before), map(json.loads, again), strict=True):
        assert (was["body"], was["content-type"]) == (now["body"], now["content-type"])
    other = take(theatre.server.broker_url, ["one"])
    other.drain(3)
    assert other.got == ["first", "second", "third"]


def test_closing_gives_back_what_nobody_acknowledged(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", *range(10))
    taker = take(theatre.server.broker_url, ["one"], prefetch=6)
    taker.drain(6)
    taker.messages[3].ack()
    taker.connection.close()
    assert theatre.waiting() == 9
    other = take(theatre.server.broker_url, ["one"])
    other.drain(9)
    assert other.got == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_what_arrives_after_the_last_consumer_left_goes_back(theatre: Theatre, take: Take) -> None:
    taker = take(theatre.server.broker_url, ["one"])
    with pytest.raises(TimeoutError):
        taker.connection.drain_events(timeout=0.05)
    taker.consumer.cancel()
    put(theatre.server.broker_url, "one", "late")
    taker.channel.finish_poll()
    assert (taker.got, theatre.waiting()) == ([], 1)


def test_a_message_that_is_no_json_costs_none_of_the_others(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", "before")
    theatre.redis.lpush("one", b"{broken")
    put(theatre.server.broker_url, "one", "after")
    taker = take(theatre.server.broker_url, ["one"])
    taker.drain(2)
    assert taker.got == ["before", "after"]


def test_when_a_consumer_fails_the_rest_of_the_fetch_goes_back(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", *range(10))
    taker = take(theatre.server.broker_url, ["one"])

    def fail(message: Any) -> None:
        taker.got.append(message.payload)
        if message.payload == 3:
            raise ValueError("three")

    taker.consumer.on_message = fail
    with pytest.raises(ValueError, match="three"):
        taker.drain(10)
    assert (taker.got, theatre.waiting()) == ([0, 1, 2, 3], 6)


def test_a_key_prefix_is_honoured(theatre: Theatre, take: Take) -> None:
    put(theatre.server.broker_url, "one", *range(3), global_keyprefix="mine:")
    assert theatre.redis.llen("mine:one") == 3
    taker = take(theatre.server.broker_url, ["one"], prefetch=2, global_keyprefix="mine:")
    taker.drain(2)
    taker.connection.close()
    assert theatre.redis.llen("mine:one") == 3


@pytest.mark.parametrize("missing", [["BLMPOP"], ["BLMPOP", "RPOP"]], ids=["no BLMPOP", "no RPOP with a count either"])
@pytest.mark.parametrize("prefix", ["", "mine:"])
def test_an_older_server_is_served_too(take: Take, missing: list[str], prefix: str) -> None:
    with valkey(*(word for name in missing for word in ("--rename-command", name, ""))) as server:
        put(server.broker_url, "one", *range(50), global_keyprefix=prefix)
        put(server.broker_url, "two", *"abc", global_keyprefix=prefix)
        taker = take(server.broker_url, ["one", "two"], prefetch=60, global_keyprefix=prefix)
        taker.drain(53)
        assert [value for value in taker.got if value in range(50)] == list(range(50))
        assert [value for value in taker.got if value not in range(50)] == list("abc")
        assert calls(Redis(unix_socket_path=str(server.socket)), "brpop") == (53 if "RPOP" in missing else 3)
