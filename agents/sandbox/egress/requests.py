"""What a client asks the proxy for: a tunnel (CONNECT), or one plain http page. All else is refused, in words."""

import re
from dataclasses import dataclass
from http import HTTPStatus

MOST_HEAD_BYTES = 16 * 1024
HTTPS, HTTP = 443, 80
PORTS = (HTTPS, HTTP)
AUTHORITY = r"(?P<host>[A-Za-z0-9._-]{1,254})"
TUNNEL = re.compile(rf"CONNECT {AUTHORITY}:(?P<port>[0-9]{{1,5}}) HTTP/1\.[01]")
PAGE = re.compile(
    rf"(?P<method>GET|HEAD) [Hh][Tt][Tt][Pp]://{AUTHORITY}(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>(?:[/?][\x21-\x22\x24-\x7e]*)?) HTTP/1\.[01]"
)
FIELD = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}):(?P<value>[\t\x20-\x7e\x80-\xff]*)")
OUR_OWN = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Fields that are about one leg of the way, or that say where it goes: they are not passed on."""


class Refusal(Exception):
    """Why a client does not get what it asked for. ``subject`` is what it asked for, as far as it can be shown."""

    def __init__(self, status: HTTPStatus, subject: str, why: str) -> None:
        super().__init__(f"{subject}: {why}")
        self.status, self.subject, self.why = status, subject, why

    def answer(self, hosts: str) -> bytes:
        """Return what the client is told; most clients show the first line, some the body."""
        text = f"Mission Control: {self.subject} is refused: {self.why}. What may be reached from here: {hosts}.\n"
        head = (
            f"HTTP/1.1 {self.status.value} Mission Control refuses {self.subject}: {self.why}\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text.encode())}\r\nConnection: close\r\n\r\n"
        )
        return (head + text).encode()


@dataclass(frozen=True)
class Asked:
    """What a client wants: ``host`` and ``port``, and what has to be sent there first (nothing for a tunnel)."""

    host: str
    port: int
    opening: bytes = b""

    @property
    def is_tunnel(self) -> bool:
        return not self.opening

    @property
    def subject(self) -> str:
        return f"{self.host}:{self.port}"


def parse(head: bytes) -> Asked:
    """Return what the head of a request (with its empty line) asks for. Raises Refusal."""
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if tunnel := TUNNEL.fullmatch(line):
        return Asked(tunnel["host"], int(tunnel["port"]))
    page = PAGE.fullmatch(line)
    if page is None:
        raise Refusal(HTTPStatus.BAD_REQUEST, shown(line), "only CONNECT host:443, and GET and HEAD of http://, work")
    asked_port = int(page["port"] or HTTP)
    return Asked(page["host"], asked_port, _opening(page, asked_port, fields))


def _opening(page: re.Match[str], port: int, fields: list[str]) -> bytes:
    """Return the request as the host itself gets it: it names that host, and says that nothing follows."""
    target = page["path"] if page["path"].startswith("/") else f"/{page['path']}"
    host = page["host"] if port == HTTP else f"{page['host']}:{port}"
    lines = [f"{page['method']} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    for field in fields:
        match = FIELD.fullmatch(field)
        if match is None:
            raise Refusal(HTTPStatus.BAD_REQUEST, shown(field), "that is no field of a request")
        if match["name"].lower() not in OUR_OWN:
            lines.append(field)
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def shown(text: str) -> str:
    """Return what a client wrote so that it can stand in a line of HTTP, of a log and of a page."""
    return re.sub(r"[^\x21-\x7e]+", " ", text).strip()[:100] or "nothing"
