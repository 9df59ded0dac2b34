"""HTTP that fails in every way: each failure has its outcome, and reaches its own caller only."""

import asyncio
import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.tools_client.stage import ALL, Raw, Reply, answer, call, result, servers, stream, text
from tools.failure import retry_after_s
from tools.outcome import CutOff, OutcomeUnknown, Rejected, ToolFailure, Unavailable

Headers = Mapping[str, str]


def event(body: bytes, end: bytes = b"\n") -> bytes:
    return b"event: message" + end + b"data: " + body + end + end


async def fails(reply: Reply, timeout_s: float = 3, **extras: Any) -> ToolFailure:
    """The outcome of one call that is answered so, among 20 others that are answered well."""

    async def some(asked: dict[str, Any], headers: Headers, writer: asyncio.StreamWriter) -> None:
        if asked.get("params", {}).get("arguments", {}).get("well"):
            await asyncio.sleep(0.05)
            await answer(writer, text(asked, "well"))
        else:
            await reply(asked, headers, writer)

    async with Raw(some).serving(concurrency=32, **extras) as tools:
        others = [asyncio.create_task(call(tools, "raw.act", well=True)) for _ in range(20)]
        with pytest.raises(ToolFailure) as caught:
            await call(tools, "raw.act", timeout_s=timeout_s)
        assert await asyncio.gather(*others) == ["well"] * 20
        assert await call(tools, "raw.act", well=True) == "well"
    return caught.value


@pytest.mark.parametrize(
    ("status", "headers", "expected", "retry_after"),
    [
        (429, {"Retry_After": "7"}, Unavailable, 7.0),
        (429, {}, Unavailable, None),
        (503, {"Retry_After": "0"}, Unavailable, 0.0),
        (503, {}, OutcomeUnknown, None),
        (503, {"Retry_After": "soon"}, OutcomeUnknown, None),
        (500, {}, OutcomeUnknown, None),
        (502, {"Retry_After": "3"}, OutcomeUnknown, None),
        (504, {}, OutcomeUnknown, None),
        (599, {}, OutcomeUnknown, None),
        (400, {}, Rejected, None),
        (401, {"WWW_Authenticate": "Bearer"}, Rejected, None),
        (403, {}, Rejected, None),
        (404, {}, Rejected, None),
        (413, {}, Rejected, None),
        (421, {}, Rejected, None),
    ],
)
async def test_what_http_errors_mean(
    status: int, headers: dict[str, str], expected: type[ToolFailure], retry_after: float | None
) -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, b"<h1>No\n</h1>", status, "text/html", **headers)

    failed = await fails(reply)
    assert type(failed) is expected
    assert f"raw.act: HTTP {status} <h1>No </h1>" in str(failed)
    assert getattr(failed, "retry_after_s", None) == retry_after


async def test_the_server_s_own_error_in_a_refusal_is_told() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        body = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "no such offer"}}
        await answer(writer, json.dumps(body).encode(), 400)

    failed = await fails(reply)
    assert isinstance(failed, Rejected)
    assert "no such offer" in str(failed)


async def test_a_refusal_of_any_size_is_read_only_so_far() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: 100000000000\r\n\r\n" + b"x" * 100_000
        )
        await writer.drain()
        await asyncio.sleep(2)

    assert isinstance(await fails(reply, timeout_s=1.5), Rejected)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"jsonrpc": "2.0", "id": 99999, "result": {}}', b'{"jsonrpc": "2.0"}'],
)
async def test_an_answer_that_is_none_is_unknown_at_once(body: bytes) -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, body)

    failed = await fails(reply, timeout_s=30)
    assert isinstance(failed, OutcomeUnknown)
    assert "TransportError" not in str(failed)


@pytest.mark.parametrize(("status", "kind"), [(200, "text/html"), (202, "text/plain"), (204, "application/xml")])
async def test_an_answer_of_another_kind_is_unknown_at_once(status: int, kind: str) -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, b"", status, kind)

    failed = await fails(reply, timeout_s=30)
    assert isinstance(failed, OutcomeUnknown)
    assert f"HTTP {status} with {kind}" in str(failed)


async def test_a_redirect_to_another_host_is_not_followed() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, b"", 307, Location="http://elsewhere.invalid/mcp")

    failed = await fails(reply)
    assert isinstance(failed, Rejected)
    assert "elsewhere.invalid" in str(failed)


async def test_a_connection_that_breaks_before_the_answer_is_unknown() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    assert isinstance(await fails(reply), OutcomeUnknown)


async def test_a_connection_that_breaks_within_a_json_body_is_unknown() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"jsonrpc":')
        await writer.drain()

    assert isinstance(await fails(reply), OutcomeUnknown)


@pytest.mark.parametrize("cut", [0, 10, 60])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_stream_that_ends_before_its_answer_is_unknown_at_once(cut: int, whole: bool) -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        progress = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
        sent = [event(progress), event(text(asked))[:cut]] if cut else []
        await stream(writer, *sent, whole=whole)

    assert isinstance(await fails(reply, timeout_s=30), OutcomeUnknown)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_a_stream_s_answer_arrives_in_whatever_pieces(end: bytes) -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        body = event(text(asked, "grüß"), end)
        await stream(writer, *(body[at : at + 7] for at in range(0, len(body), 7)))

    async with Raw(reply).serving() as tools:
        assert await call(tools, "raw.act") == "grüß"


@pytest.mark.parametrize("events", [True, False])
async def test_a_stream_that_never_ends_is_cut_off(events: bool) -> None:
    progress = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}' % (
        b"x" * 50_000
    )

    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _number in range(10_000):
            writer.write(event(progress) if events else b"data: " + b"x" * 50_000)
            await writer.drain()

    failed = await fails(reply, timeout_s=30, effects={"act": "read"})
    assert isinstance(failed, Rejected)
    assert "more than 1,048,576 bytes" in str(failed)


async def test_a_call_with_little_room_cuts_the_connection_early() -> None:
    told: list[Any] = []

    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        told.append(asked["params"]["_meta"]["io.surefoot/answer-bytes"])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " + b"x" * 200_000)
        await writer.drain()
        await writer.wait_closed()  # there is more to come: who has the usual room waits for it

    async with Raw(reply).serving() as tools:
        tool = await tools.find("raw.act", ALL)
        with pytest.raises(CutOff, match="more than 1,000 bytes"):
            await tool.call({}, key="k", timeout_s=30, most_bytes=1_000)
    assert told == [1_000]


async def test_a_small_body_that_unfolds_to_a_large_one_is_cut_off() -> None:
    packed = gzip.compress(b'{"jsonrpc": "2.0", "id": 1, "result": "' + b"x" * 200_000_000, compresslevel=9)

    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, packed, Content_Encoding="gzip")

    failed = await fails(reply, timeout_s=30, effects={"act": "read"})
    assert isinstance(failed, Rejected)
    assert "more than" in str(failed)


async def test_a_compressed_answer_is_read_and_a_broken_one_is_unknown() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        packed = gzip.compress(text(asked)) if asked["params"]["arguments"] else b"\x1f\x8bnonsense"
        await answer(writer, packed, Content_Encoding="gzip")

    async with Raw(reply).serving() as tools:
        assert await call(tools, "raw.act", fine=True) == "done"
    assert isinstance(await fails(reply), OutcomeUnknown)


async def test_an_answer_that_never_comes_is_unknown_in_time() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    assert isinstance(await fails(reply, timeout_s=0.5), OutcomeUnknown)


async def test_an_outage_at_the_first_question_does_not_make_a_server_one_of_an_older_protocol() -> None:
    outage = [503]

    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        if asked["method"] == "server/discover" and outage:
            await answer(writer, b"", outage.pop(), Retry_After="0")
        elif asked["method"] == "server/discover":
            said = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}
            await answer(writer, result(asked, said | {"ttlMs": 0, "cacheScope": "private"}))
        else:
            await answer(writer, text(asked))

    raw = Raw(reply)
    async with raw.serving(protocol="auto") as tools:
        with pytest.raises(Unavailable, match="HTTP 503") as caught:
            await call(tools, "raw.act")
        assert caught.value.retry_after_s == 0
        assert await call(tools, "raw.act") == "done"
    assert "initialize" not in raw.asked


async def test_a_server_that_refuses_us_at_the_first_question_is_a_definite_no() -> None:
    async def reply(asked: dict[str, Any], _: Headers, writer: asyncio.StreamWriter) -> None:
        await answer(writer, b"", 401)

    async with Raw(reply).serving(protocol="auto") as tools:
        with pytest.raises(Rejected, match=r"raw: cannot connect: .*HTTP 401"):
            await call(tools, "raw.act")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    for protocol in ("2026-07-28", "auto", "legacy"):
        entry = {"url": "http://127.0.0.1:9/mcp", "surefoot": {"protocol": protocol}}
        async with servers({"none": entry}) as tools:
            with pytest.raises(Unavailable, match="none: cannot"):
                await call(tools, "none.act")


def test_retry_after_may_be_a_number_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after_s("3") == 3.0
    assert 90 < (retry_after_s(soon) or 0) <= 100
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s("999999999") == 3_600.0
    for none in ("soon", "-1", "1.5", "٣", "", None):
        assert retry_after_s(none) is None


async def test_what_a_server_signs_in_with_is_in_no_text_that_it_says_and_numbers_stay() -> None:
    async def reply(asked: dict[str, Any], headers: Headers, writer: asyncio.StreamWriter) -> None:
        refuses, said = bool(asked["params"]["arguments"]), f"{'x' * 1_975} you sent {headers['authorization']}"
        told = {"n": 2864000001, "said": [said], "json": json.dumps({"sent": headers["authorization"]})}
        content = [{"type": "text", "text": said}]  # of a refusal 2,000 characters are kept, half of the secret
        whole = {"content": content, "structuredContent": told, "isError": refuses, "resultType": "complete"}
        await answer(writer, result(asked, whole))

    async with Raw(reply).serving({"Authorization": 'Bearer Zq"81\\hunter2', "X-Token": "86400000"}) as tools:
        told = await call(tools, "raw.act")
        with pytest.raises(Rejected) as refused:
            await call(tools, "raw.act", refuse=True)
    assert (told["n"], told["said"][0][-17:]) == (2864000001, "Bearer [redacted]")
    assert json.loads(told["json"]) == {"sent": "Bearer [redacted]"}
    assert str(refused.value).endswith("Bearer [redacte")
    assert "Zq" not in str(refused.value) + str(told)
