"""A server's TLS with an authority of its own: what an Enterprise Server in a company looks like."""

import contextlib
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
IDLE_S = 60


@dataclass(frozen=True)
class Authority:
    """``certificate`` is the file by which others know it."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: Path

    @classmethod
    def made(cls, place: Path, name: str) -> "Authority":
        key, subject = ec.generate_private_key(ec.SECP256R1()), _called(name)
        made = _certificate(subject, subject, key).add_extension(x509.BasicConstraints(True, None), critical=True)
        path = place / f"{name}.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return cls(subject, key, path)

    def server(self, place: Path) -> Path:
        """Return a file with the key and the certificate of a server at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = _certificate(_called("server"), self.name, key).add_extension(names, critical=False)
        path = place / "server.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(secret + made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path


@contextlib.contextmanager
def in_front_of(port: int, server: Path) -> Iterator[int]:
    """Give the port of a server that speaks TLS and passes everything on to ``port`` of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            caller, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(caller, context, port), daemon=True).start()


def _pass_on(caller: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One connection, both ways, until one side ends it. Who does not trust us hangs up in the handshake."""
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(caller, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        while ready := [outside] if outside.pending() else select.select([outside, inside], [], [], IDLE_S)[0]:
            for source in ready:
                if not (data := source.recv(65536)):
                    return
                (inside if source is outside else outside).sendall(data)


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    blank = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return blank.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)
