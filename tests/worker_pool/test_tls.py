"""The transport over TLS, as kombu has it: the scheme rediss, certificates checked when asked for."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.worker_pool.conftest import Theatre
from tests.worker_pool.test_transport import Take, alias, put, take

__all__ = ["alias", "take"]


def certificate(folder: Path) -> Path:
    """A key and a certificate of our own for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    draft = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = draft.add_extension(address, critical=False).sign(key, hashes.SHA256())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "both.pem"
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def tls_in_front_of(path: Path, pem: Path) -> Generator[int]:
    """A port that speaks TLS and passes everything on to a unix socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=serve, args=(door, context, path), daemon=True).start()
        yield door.getsockname()[1]


def serve(door: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    with suppress(OSError):
        while True:
            plain, _ = door.accept()
            threading.Thread(target=connect, args=(plain, context, path), daemon=True).start()


def connect(plain: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    with suppress(OSError):
        outside, inside = context.wrap_socket(plain, server_side=True), socket.socket(socket.AF_UNIX)
        inside.connect(str(path))
        threading.Thread(target=pump, args=(inside, outside), daemon=True).start()
        pump(outside, inside)


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_messages_travel_over_tls(theatre: Theatre, take: Take, tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with tls_in_front_of(theatre.server.socket, pem) as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={pem}"
        put(url, "one", *range(50))
        taker = take(url, ["one"])
        taker.drain(50)
        assert taker.got == list(range(50))


def test_a_certificate_nobody_vouches_for_is_refused(theatre: Theatre, tmp_path: Path) -> None:
    behind_tls = tls_in_front_of(theatre.server.socket, certificate(tmp_path))
    with behind_tls as port, pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        put(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required", "one", 1)
