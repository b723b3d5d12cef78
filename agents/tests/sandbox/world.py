"""A small internet of our own, without which no test could see what is let through: two network namespaces.

    this thread: 198.18… is nowhere, 203.0.112.1 is "our" public address ──veth── the world: a server on every address

No seam is needed in the product: names come from /etc/hosts (of a mount namespace of our own), are resolved by the C
library, and the addresses are routed for real. Needs root, which the other half of the tests does not.
"""

import ctypes
import io
import os
import socketserver
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

NEWNET, NEWNS, OWN_DIRECTORY = 0x40000000, 0x00020000, 0x00000200
OURS = "203.0.112.1"
PUBLIC = "203.0.112.2"
ADDRESSES = {
    "packages.example.org": PUBLIC,
    "files.cdn.example.net": PUBLIC,
    "evil.example.com": PUBLIC,
    "private.example.org": "10.9.0.2",
    "metadata.example.org": "169.254.169.254",
    "carrier.example.org": "100.64.0.2",
    "loopback.example.org": "127.0.0.1",
    "mapped.example.org": "::ffff:10.9.0.2",
    "myself.example.org": OURS,
}
PORTS = (22, 80, 443)
_libc = ctypes.CDLL(None, use_errno=True)


class World:
    """The namespaces, from ``build`` to ``destroy``; between ``entered`` and its end this thread lives in them."""

    def __init__(self, directory: Path) -> None:
        self._server = subprocess.Popen(
            ["unshare", "--net", sys.executable, __file__], stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "serving\n"
        self._home = _namespaces()
        (directory / "hosts").write_text("".join(f"{address} {name}\n" for name, address in ADDRESSES.items()))
        (directory / "resolv.conf").write_text("")
        self._ours = self._make(directory)

    def _make(self, directory: Path) -> tuple[int, int]:
        _check(_libc.unshare(NEWNET | NEWNS))
        try:
            _do("mount --make-rprivate /")
            for name in ("hosts", "resolv.conf"):
                _do(f"mount --bind {directory / name} /etc/{name}")
            _do("ip link set lo up")
            _do(f"ip link add w0 type veth peer name w1 netns {self._server.pid}")
            inside = f"nsenter -t {self._server.pid} -n "
            for net, host in (("203.0.112", 24), ("10.9.0", 24), ("100.64.0", 24)):
                _do(f"ip addr add {net}.1/{host} dev w0")
                _do(f"{inside}ip addr add {net}.2/{host} dev w1")
            _do(f"{inside}ip addr add 169.254.169.254/32 dev w1")
            _do("ip link set w0 up")
            _do(f"{inside}ip link set w1 up")
            _do("ip route add 169.254.169.254/32 dev w0")
            return _namespaces()
        finally:
            self._go(self._home)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread, and the threads and processes it starts, live in the little internet."""
        self._go(self._ours)
        try:
            yield
        finally:
            self._go(self._home)

    def _go(self, namespaces: tuple[int, int]) -> None:
        where = Path.cwd()
        _check(_libc.setns(namespaces[0], NEWNET))
        # Refused while another thread shares our directory.
        _check(_libc.unshare(OWN_DIRECTORY))
        _check(_libc.setns(namespaces[1], NEWNS))
        os.chdir(where)

    def destroy(self) -> None:
        with self._server as server:
            server.kill()
        for fd in (*self._home, *self._ours):
            os.close(fd)


def _namespaces() -> tuple[int, int]:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _do(command: str) -> None:
    subprocess.run(command.split(), check=True, stdin=subprocess.DEVNULL)


class Page(socketserver.StreamRequestHandler):
    """Answers a request with itself, so that a test sees what arrived; ``/big`` with 8 MiB, ``/slow`` later, ``/drip``
    piece by piece for three seconds.
    """

    timeout = 20

    def handle(self) -> None:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        if not lines:
            return
        body = b"".join(lines)
        if b"/simple/greeting/" in lines[0]:
            body = b'<a href="/greeting-1.0-py3-none-any.whl">greeting-1.0-py3-none-any.whl</a>'
        if b"/greeting-1.0" in lines[0]:
            body = wheel()
        if b"/big" in lines[0]:
            body = b"x" * (8 << 20)
        if b"/slow" in lines[0]:
            time.sleep(5)
        if b"/drip" in lines[0]:
            self._drip()
            return
        kind = b"text/html" if body.startswith(b"<") else b"application/octet-stream"
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body
        )
        self.wfile.flush()
        if b"/keep" in lines[0]:
            self.handle()

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)


def wheel() -> bytes:
    """Return a package that pip installs."""
    info = "greeting-1.0.dist-info"
    files = {
        "greeting.py": "WORD = 'hello'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "".join(f"{name},,\n" for name in ("greeting.py", f"{info}/METADATA", f"{info}/WHEEL")),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    servers = [Server(("0.0.0.0", port), Page) for port in PORTS]
    for server in servers[1:]:
        Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    servers[0].serve_forever()
