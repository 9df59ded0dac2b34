"""Planted secrets never come out; ordinary values are left alone; huge values cost little."""

import json
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.telemetry.names import REDACTED_MARK, Stage
from orchestrator.telemetry.redaction import (
    CUT_AT,
    as_text,
    is_secret,
    know,
    redact,
    redact_end,
    redact_text,
    shows_secret,
)
from tests.telemetry.collecting import collector, new_job, recording

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
secrets = st.text(LETTERS, min_size=20, max_size=40).map(lambda text: f"Zq{text}")
names = st.sampled_from(
    """password DB_PASSWORD token access_token authorization Proxy-Authorization api_key apiKey X-Api-Key
clientSecret secret set-cookie cardNumber card cvv privateKey sessionId pin""".replace("\n", " ").split(" ")
)
shapes = st.sampled_from(
    """Bearer {}
bearer {}
sk-{}
pk_{}
eyJ{}.{}.{}
ghp_{}
github_pat_{}
AKIA{}
xoxb-{}
redis://:{}@host:6379/0
postgresql://me:{}@host/db
https://a.b/c?x=1&api_key={}&y=2
password={}
Authorization: Basic {}
token: '{}'
{{"user": "x", "password": "{}"}}
401 for key api_key='{}', try again
header "x-api-key": "{}"
{{"a": "{{\\"password\\": \\"{}\\"}}"}}
a=b&data=%7B%22password%22%3A%20%22{}%22%7D
a=b&next=password%25253D{}
https://a.b/c?next=https%253A%252F%252Fme%253A{}%2540host
curl --password {} https://a.b
[(b'x-api-key', b'{}'), (b'accept', b'*/*')]
headers ["X-Api-Key", "{}"]
-----BEGIN RSA PRIVATE KEY-----\\n{}\\n-----END RSA PRIVATE KEY-----""".splitlines()
).map(lambda shape: shape.replace("\\n", "\n"))
words = st.text(" abcdefghijklmnop\n,.", max_size=80)
SIGNS = "% %25 %2541 %32%35 password token: token=' = ' \" \\ \0 é eyJ -- :// @ bearer basic -----BEGIN [' 4111"
ODD = (*SIGNS.split(" "), "25" * 400, "\ud800", "x" * 300, " ", "\n", "-----BEGIN A PRIVATE KEY-----")
innocent = st.recursive(st.none() | st.booleans() | st.integers() | words, lambda inner: st.lists(inner, max_size=3))


@given(name=names, secret=secrets, beside=innocent, depth=st.integers(0, 6))
def test_a_value_under_a_secret_name_never_comes_out(name: str, secret: str, beside: Any, depth: int) -> None:
    value: Any = {"beside": beside, name: secret}
    for level in range(depth):
        value = {f"level{level}": [value]} if level % 2 else (value, beside)
    assert secret not in as_text(value)
    assert secret not in json.dumps(redact(value))


@given(shape=shapes, secret=secrets, before=words, after=words, inside=st.sampled_from(["text", "list", "dict"]))
def test_a_secret_of_a_known_shape_never_comes_out(
    shape: str, secret: str, before: str, after: str, inside: str
) -> None:
    text = f"{before} {shape.format(secret, secret, secret)} {after}"
    value: Any = {"text": text, "list": [text], "dict": {"note": text}}[inside]
    assert secret not in as_text(value)
    assert secret not in json.dumps(redact(value))
    assert secret not in redact_text(text)


@pytest.mark.parametrize(
    "value",
    [
        ["x-api-key", "{}"],
        [("accept", "*/*"), ("Authorization", "{}")],
        ["curl", "--password", "{}", "https://a.b"],
        {"name": "DB_PASSWORD", "value": "{}"},
        [{"field": "pin", "answer": "{}", "by": "me"}],
        json.dumps({"a": json.dumps({"b": json.dumps({"password": "{}"})})}),
    ],
)
def test_a_secret_that_is_named_beside_its_value_never_comes_out(value: Any) -> None:
    planted = json.loads(json.dumps(value).replace("{}", "Zq81hunter2hunter2"))
    assert "Zq81" not in as_text(planted)
    assert "Zq81" not in json.dumps(redact(planted))


def test_what_a_process_was_given_is_known_wherever_and_however_it_comes_up() -> None:
    secret = 'Zq/9"known+knownknown'
    know({"VAULT_PASSWORD": secret, "HOME": "/srv/somebody", "TOKEN_FILE": "/run/secrets/token", "SHORT_PIN": "guest"})
    for before in range(3):
        code = b64encode(b"x" * before + secret.encode() + b"yz").decode()
        assert REDACTED_MARK in redact_text(f"sent {code} to it")
    for said in (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe=""), json.dumps(secret)):
        assert REDACTED_MARK in redact_text(f"401: {said} is no key")
        assert "known" not in redact_text(f"401: {said} is no key")
    told = "guest of somebody in /srv/somebody has no /run/secrets/token"
    assert redact_text(told) == told


@pytest.mark.parametrize(
    "secret",
    [
        "/q3Zq81+hunter2",
        "/Zq81" + "hunter2" * 900,
        "/q3Zq81hun/ter2hunter2hunter2XyZ=",
        ".Zq81hunter2",
        "Zq81\udcffhunter",
    ],
)
def test_a_secret_that_begins_like_a_path_or_is_no_text_is_known_too(secret: str) -> None:
    know({"VAULT_SECRET": secret})
    assert redact_text(f"401: {secret} is wrong") == f"401: {REDACTED_MARK} is wrong"


def test_a_path_is_no_secret(tmp_path: Path) -> None:
    there, away = tmp_path / "Zq81hunter", "../secrets/Zq81hunter"
    there.touch()
    know({"SECRET_FILE": str(there), "TOKEN_FILE": away, "PASSWORD_FILE": "/etc/vault/pass.d/Zq1"})
    told = f"cannot read {there}, {away}, /etc/vault/pass.d/Zq1"
    assert redact_text(told) == told


@given(secret=secrets, at=st.integers(0, 10_000))
def test_cutting_does_not_show_half_of_a_secret(secret: str, at: int) -> None:
    shown = redact_text("x " * (at // 2) + f"password={secret}")
    assert secret[:8] not in shown


@given(secret=secrets, behind=st.integers(CUT_AT - 40, CUT_AT + 40))
def test_the_end_of_a_text_does_not_show_a_secret_whose_name_is_cut_away(secret: str, behind: int) -> None:
    text = f"{'y ' * CUT_AT}password={secret} {'x' * behind}"
    assert secret[-8:] not in redact_end(text)
    assert redact_end(text).endswith("x" * (CUT_AT - 60))
    assert len(redact_end(text)) <= CUT_AT


@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"])
def test_card_numbers_are_known_by_their_check_digit(card: str) -> None:
    assert redact_text(f"pay with {card} please") == f"pay with {REDACTED_MARK} please"
    assert as_text({"n": int("".join(c for c in card if c.isdigit()))}) == f'{{"n": "{REDACTED_MARK}"}}'


@pytest.mark.parametrize(
    "value",
    [
        {
            "max_tokens": 500,
            "tokens": 12,
            "authorized": True,
            "monkey": "banana",
            "discard": "yes",
            "key": "order-7431",
        },
        {
            "passengers": 2,
            "note": "basic economy fare, bearer of a passport",
            "key_words": "hiking",
            "at": 1795461730062,
        },
        {"phone": "+1 303 555 0100", "iso": "2027-03-12T10:00:00Z", "url": "https://example.com/a?b=c", "price": 12.5},
        {"key": "0199f2b4c1d27a10b0c1d2e3f4a5b6c7.flights.1", "sql": "SELECT a FROM b WHERE c = 'd'", "pin": None},
    ],
)
def test_ordinary_values_stay_as_they_are(value: dict[str, Any]) -> None:
    assert redact(value) == value
    assert json.loads(as_text(value)) == value


def test_a_name_is_read_word_by_word() -> None:
    assert all(
        map(is_secret, ["Pin", "cardNumber", "AWS_SECRET_ACCESS_KEY", "oauthToken", "passwords", "HTTPAuthorization"])
    )
    assert not any(map(is_secret, ["shipping", "pinned", "cardinality", "author", "tokenizer", "dedup_key"]))


@given(st.lists(st.sampled_from(ODD) | st.text(), max_size=60).map("".join), st.sampled_from([1, 7, 3_000]))
def test_any_text_can_be_shown_at_a_bounded_cost(text: str, times: int) -> None:
    began = time.process_time()
    redact_text(text * times)
    redact_end(text * times)
    shows_secret(text * times)
    assert time.process_time() - began < 2


def test_what_is_percent_encoded_a_thousand_times_costs_little_and_no_error() -> None:
    began = time.process_time()
    for text in ("%" + "25" * 1_000, "%" + "25" * 1_000_000, "%25" * 3_000, "%" + "25" * 300 + "41"):
        assert redact_text(text) == redact_text(text)
        redact({"a": [text]}, "x")
        shows_secret(text)
    assert time.process_time() - began < 0.5


def test_a_text_that_is_too_long_to_be_searched_counts_as_one_that_shows_a_secret() -> None:
    assert not shows_secret("word " * 13_000)
    assert shows_secret("word " * 13_000 + "password=Zq81hunter2")
    assert shows_secret("word " * 14_000)


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=30))
def test_any_value_can_be_shown(value: Any) -> None:
    assert len(as_text(value)) <= CUT_AT + 100
    redact({"x": value})


def test_what_cannot_even_be_printed_is_no_reason_to_fail() -> None:
    class Sulking:
        def __str__(self) -> str:
            raise RuntimeError("no")

    circle: list[Any] = []
    circle.append(circle)
    assert "Sulking" in as_text({"x": Sulking(), Sulking(): 1})
    assert "…" in as_text(circle)


def test_a_value_of_any_size_costs_little() -> None:
    huge: list[Any] = [list(range(1_000_000)), "x" * 10_000_000, {str(i): "y" * 100 for i in range(100_000)}]
    huge += [
        "a" * 9_000,
        "4 " * 5_000,
        "x=" * 5_000,
        'pass"' * 2_000,
        "token" + " " * 9_000,
        "://a" * 2_500,
        "eyJ" * 3_000,
    ]
    began = time.process_time()
    for value in huge:
        as_text(value)
    assert time.process_time() - began < 1


def test_nothing_planted_anywhere_leaves_by_any_way() -> None:
    secret = "Zq81hunter2hunter2hunter2"
    with collector() as received, recording(received.url) as (telemetry, memory):
        job_id = new_job()
        library = telemetry.provider
        assert library is not None
        with telemetry.spans.open_job(job_id, "trip") as root:
            root.set("surefoot.tenant", f"password={secret}")
            with telemetry.spans.tool(job_id, "a.b", {"api_key": secret, "q": f"Bearer {secret}"}, key="k") as call:
                call.answer({"cookie": secret, "text": f"see https://x:{secret}@host"})
            with library.get_tracer("library").start_as_current_span("GET") as span:
                span.set_attribute("http.request.header.authorization", secret)
                span.set_attribute("http.request.header.x-api-key", [secret])
                span.add_event("sent", {"token": secret, "line": f"sk-{secret}"})
            with pytest.raises(ValueError, match="refused"), telemetry.spans.stage(Stage.ANSWER, job_id):
                raise ValueError(f"refused: api_key={secret}")
        assert telemetry.flush()
        kept = b"".join(memory.jobs[job_id])
        assert len(received.spans) == 4
        for everything in (kept, received.raw):
            assert secret.encode() not in everything
            assert REDACTED_MARK.encode() in everything
