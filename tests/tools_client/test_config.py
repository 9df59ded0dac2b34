"""An mcp.json: what it may say, and that every mistake is named with file, server and field."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tools.config import InvalidToolConfig, ServerConfig, load
from tools.effects import Effect, classify


def written(folder: Path, text: Any) -> Path:
    path = folder / "mcp.json"
    path.write_text(text if isinstance(text, str) else json.dumps({"mcpServers": text}))
    return path


def test_the_form_of_other_clients_with_a_block_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret-token")
    monkeypatch.delenv("MISSING", raising=False)
    entries = {
        "bank": {
            "type": "http",
            "url": "https://bank.example/mcp",
            "headers": {"Authorization": "Bearer ${TOKEN}"},
            "alwaysAllow": ["x"],
            "surefoot": {
                "trust": True,
                "timeout_s": 5,
                "concurrency": 2,
                "effects": {"wire_*": "unsafe", "reserve": "keyed"},
                "key": {"header": "Idempotency-Key"},
                "lookup": {"wire_money": "find_transfer"},
                "price_usd": {"wire_*": 0.5},
                "protocol": "2026-07-28",
            },
        },
        "files": {"command": "npx", "args": ["-y", "${MISSING:-server}"], "env": {"A": "${TOKEN}"}},
        "ours": {"module": "package.module"},
        "off": {"command": "x", "disabled": True, "env": {"B": "${MISSING}"}},
    }
    config = load(written(tmp_path, entries))
    assert list(config.servers) == ["bank", "files", "ours"]
    assert config.servers["bank"].headers == {"Authorization": "Bearer secret-token"}
    assert config.servers["files"].args == ["-y", "server"]
    assert config.servers["files"].surefoot.timeout_s == 20
    bank = config.servers["bank"].surefoot
    assert (bank.price_micro_usd("wire_money"), bank.price_micro_usd("reserve")) == (500_000, None)
    assert "secret-token" not in repr(config)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'needs an object "mcpServers"'),
        ('{"mcpServers": []}', 'needs an object "mcpServers"'),
        ({"a": 1}, "server 'a', it must be an object"),
        ({"a": {}}, "server 'a', needs exactly one of command, url and module, has none"),
        ({"a": {"command": "x", "url": "http://x"}}, "has command and url"),
        ({"a": {"command": 1}}, "server 'a', command: "),
        ({"a": {"command": "x", "args": "y"}}, "server 'a', args: "),
        ({"a": {"command": "x", "env": {"N": 1}}}, r"server 'a', env\.N: "),
        ({"a": {"url": "ftp://x"}}, "url must begin with http:// or https://, not 'ftp'"),
        ({"a": {"url": "http://"}}, "url needs a host"),
        ({"a": {"url": "http://x:99999/"}}, "url: Port out of range"),
        ({"a": {"url": "http://x", "type": "sse"}}, "type sse is the transport of 2024"),
        ({"a": {"url": "http://x", "headers": {"A B": "c"}}}, r"server 'a', headers\.A B"),
        ({"a.b": {"url": "http://x"}}, "must not be empty or have a dot"),
        ({"": {"url": "http://x"}}, "must not be empty or have a dot"),
        ({"a": {"url": "http://${NO_SUCH}"}}, "server 'a', url: the environment variable NO_SUCH is not set"),
        ({"a": {"url": "http://x", "headers": {"K": "${NO_SUCH}"}}}, r"headers\.K: the environment variable NO_SUCH"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, entries: Any, said: str) -> None:
    path = written(tmp_path, entries)
    with pytest.raises(InvalidToolConfig, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"efects": {}}, r"surefoot\.efects: "),
        ({"effects": {"x": "safe"}}, r"surefoot\.effects\.x: .*'read', 'idempotent', 'keyed' or 'unsafe'"),
        ({"timeout_s": 0}, r"surefoot\.timeout_s: "),
        ({"timeout_s": float("nan")}, r"surefoot\.timeout_s: "),
        ({"concurrency": 0}, r"surefoot\.concurrency: "),
        ({"price_usd": {"x": -1}}, r"surefoot\.price_usd\.x: "),
        ({"price_usd": {"x": float("inf")}}, r"surefoot\.price_usd\.x: "),
        ({"protocol": "2024-11-05"}, r"surefoot\.protocol: .*'auto', 'legacy' or '2026-07-28'"),
        ({"key": {"header": "Authorization"}}, "a header of the request itself"),
        ({"key": {"header": "Mcp-Name"}}, "a header of the request itself"),
        ({"key": {"header": "bad header"}}, r"surefoot\.key\.header: "),
        ({"key": {"place": "x"}}, r"surefoot\.key\.place: "),
        ({"trust": "perhaps"}, r"surefoot\.trust: "),
    ],
)
def test_a_wrong_block_of_ours_is_named(tmp_path: Path, block: Any, said: str) -> None:
    with pytest.raises(InvalidToolConfig, match=said):
        load(written(tmp_path, {"a": {"url": "http://x", "surefoot": block}}))


def test_all_mistakes_are_named_at_once_and_no_secret(tmp_path: Path) -> None:
    entries = {"a": {"url": "secret-token"}, "b": {"headers": {"K": 1}, "url": "http://user:secret-token@:x/"}, "c": {}}
    with pytest.raises(InvalidToolConfig) as caught:
        load(written(tmp_path, entries))
    assert all(f"server {name!r}" in str(caught.value) for name in "abc")
    assert "secret-token" not in str(caught.value)


def server(**entry: Any) -> ServerConfig:
    return ServerConfig.model_validate({"command": "x", **entry} if "url" not in entry else entry)


@pytest.mark.parametrize(
    ("entry", "secrets"),
    [
        (
            {"args": ["--token", "Zq81hunter2", "--api-key=Zq82hunter2=", "--verbose-output"]},
            "Zq81hunter2 Zq82hunter2=",
        ),
        ({"args": ["https://x", "--header", "Authorization: Bearer Zq81hunter2"]}, "Zq81hunter2"),
        ({"args": ["--header=Authorization:Bearer Zq81hunter2", "--port", "12345678"]}, "Zq81hunter2"),
        (
            {"args": ["--apiToken=Zq81hunter2", "serve-everything"], "env": {"dbPass": "/Zq" * 2_000}},
            "Zq81hunter2 " + "/Zq" * 2_000,
        ),
        ({"args": ["--password", "--verbose-output", "--name=Zq81hunter2"]}, ""),
        (
            {"args": ["postgres://me:Zq81hun%2Fter@h/db"], "env": {"DB_URL": "mysql://me:Zq82hunter@h"}},
            "Zq81hun/ter Zq82hunter",
        ),
        (
            {"env": {"DB_PASS": "Zq81hunter", "OPENAI_KEY": "Zq82hunter", "PGPASSWORD": "Zq83hunter"}},
            "Zq81hunter Zq82hunter Zq83hunter",
        ),
        ({"env": {"TOKEN_TTL_MS": "86400000", "SECRET_NUMBER": "86400000", "SECRET_KEY_FILE": "/run/secrets/key"}}, ""),
        (
            {
                "env": {
                    "AUTHOR": "somebody",
                    "KEYCLOAK_REALM": "employees",
                    "COMPASS": "northwest",
                    "KEYS_DIR": "/a/b/c/d",
                }
            },
            "",
        ),
        ({"env": {"AUTH_TYPE": "service_account", "TOKEN_URL": "https://x/token", "SHORT_TOKEN": "guest"}}, ""),
        ({"env": {"GOOGLE_APPLICATION_CREDENTIALS": __file__}}, ""),
        (
            {"url": "https://me:Zq81hunter@x/?access_token=Zq82hunter", "headers": {"token": "Zq83hunter"}},
            "Zq81hunter Zq82hunter Zq83hunter",
        ),
    ],
)
def test_what_a_server_signs_in_with_is_known_by_the_words_of_its_name(entry: dict[str, Any], secrets: str) -> None:
    assert server(**entry).secrets == set(secrets.split())


@pytest.mark.parametrize("secret", ['Zq"81hunter', "Zq\\81hunter", "Zqé/81+hunter", "n81hunter", "Zq\udcff1hunter"])
def test_it_is_taken_out_of_texts_however_they_say_it_and_out_of_nothing_else(secret: str) -> None:
    config = server(env={"TOKEN": secret, "OLD_TOKEN": secret + "again", "KEY": "86400000"})
    once = {"a": [f"\\{secret}, {secret}again", {secret: 1}], "n": 2864000001, "x": None}
    told = {
        **once,
        "json": json.dumps(once),
        "url": f"?t={quote(secret, errors='replace', safe='')}",
        "said": json.dumps(secret),
    }
    hidden = config.hide(told)
    assert "hunter" not in repr(hidden)
    assert hidden["a"] == ["\\[redacted], [redacted]", {"[redacted]": 1}]
    assert json.loads(hidden["json"])["n"] == hidden["n"] == 2864000001
    assert hidden["x"] is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidToolConfig, match="No such file or directory; check SUREFOOT_MCP_CONFIG"):
        load(tmp_path / "none.json")
    (tmp_path / "mcp.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidToolConfig, match="not JSON"):
        load(tmp_path / "mcp.json")


class Hints:
    def __init__(self, read: bool | None = None, again: bool | None = None) -> None:
        self.read_only_hint, self.idempotent_hint = read, again


@pytest.mark.parametrize(
    ("hints", "trust", "expected"),
    [
        (None, True, Effect.UNSAFE),
        (Hints(), True, Effect.UNSAFE),
        (Hints(read=True), True, Effect.READ),
        (Hints(again=True), True, Effect.IDEMPOTENT),
        (Hints(read=True, again=True), True, Effect.READ),
        (Hints(read=True), False, Effect.UNSAFE),
    ],
)
def test_the_effect_of_a_tool(hints: Hints | None, trust: bool, expected: Effect) -> None:
    assert classify("act", hints, trust=trust, effects={}) is expected
    assert classify("act", hints, trust=trust, effects={"b*": Effect.READ, "a*": Effect.KEYED}) is Effect.KEYED
