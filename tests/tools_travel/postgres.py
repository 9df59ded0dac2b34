"""A PostgreSQL for the tests: the one that is named, the one of this machine, or one of our own."""

import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

NAMED = "SUREFOOT_TEST_POSTGRES_URL"
HERE = "postgresql://postgres@127.0.0.1:5432/postgres"


@contextmanager
def server(folder: Path) -> Generator[str]:
    """The URL of a server; without any: a failure in CI, else a skip that says so."""
    named = os.environ.get(NAMED)
    if named or _answers(HERE):
        yield named or HERE
        return
    if not (shutil.which("initdb") and shutil.which("postgres")):
        missing = f"no PostgreSQL: none in {NAMED}, none at {HERE}, no initdb and postgres on PATH"
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, and this is CI")
        pytest.skip(missing)
    with _own(folder) as url:
        yield url


@contextmanager
def database(url: str) -> Generator[str]:
    """A database of its own, dropped afterwards with all connections to it."""
    name = f"surefoot_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')  # pyright: ignore[reportArgumentType, reportCallIssue]
        base, _, query = url.partition("?")
        yield base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # pyright: ignore[reportArgumentType, reportCallIssue]


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _own(folder: Path) -> Generator[str]:
    """A server on a unix socket of its own; it refuses to run as root, so root lends it another user."""
    short = Path("/tmp") / f"surefoot-pg-{uuid.uuid4().hex[:8]}"  # a socket's path is 107 bytes at most
    short.mkdir(mode=0o700)
    user = _other_user()
    if user is not None:
        os.chown(short, pwd.getpwnam(user).pw_uid, -1)
    data = short / "data"
    words = {"cwd": short, "user": user, "stdout": subprocess.DEVNULL}
    log = (folder / "postgres.log").open("w")
    try:
        subprocess.run(["initdb", "-A", "trust", "-U", "postgres", "-N", data], check=True, stderr=log, **words)  # type: ignore[call-overload]
        settings = [f"-cunix_socket_directories={short}", "-clisten_addresses=", "-cfsync=off"]
        running = subprocess.Popen(["postgres", "-D", data, *settings], stderr=log, **words)  # type: ignore[call-overload]
        url = f"postgresql://postgres@/postgres?host={short}"
        try:
            _wait_for(url)
            yield url
        finally:
            running.terminate()
            running.wait(30)
    finally:
        log.close()
        shutil.rmtree(short, ignore_errors=True)


def _wait_for(url: str) -> None:
    from tests.support.waiting import wait_until

    wait_until(lambda: _answers(url), "PostgreSQL answers", timeout_s=30)


def _other_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
