"""One command's way out: the socket and the forwarder's scripts in a directory that the sandbox sees, and the proxy."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType, TracebackType
from typing import Final, Self

from agents.sandbox import places
from agents.sandbox.egress.proxy import Proxy
from agents.sandbox.egress.record import Record
from agents.sandbox.errors import SandboxStartError
from agents.sandbox.types import Contact, Egress, Mount

logger = logging.getLogger(__name__)

TARGET: Final = "/run/mcc-egress"
SOCKET: Final = "socket"
PORT: Final = 3128
SCRIPTS: Final = ("enter.sh", "forward.pl", "forward.py", "forward.js")
INSIDE: Final = Path(__file__).parent / "inside"
START_S: Final = 10.0
END_S: Final = 5.0

_URL = f"http://127.0.0.1:{PORT}"
_DIRECT = "localhost,127.0.0.1,::1"
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), _URL),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), _DIRECT),
        "NODE_USE_ENV_PROXY": "1",
    }
)
"""What tells programs inside where the forwarder listens."""


def mount(workspace_id: str) -> Mount:
    """Return what every sandbox with a network shows: the directory, made here, where some commands find a socket."""
    directory = places.egress_path(workspace_id)
    places.make_egress(directory)
    return Mount(directory, TARGET)


class WayOut:
    """Opened for one command and closed after it: every connection ends with the command. A context manager.

    ``workspace_id`` names the directory; one command at a time uses it.
    """

    def __init__(self, egress: Egress, workspace_id: str) -> None:
        self._egress = egress
        self._record = Record(workspace_id)
        self._directory = places.egress_path(workspace_id)
        self._ready = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._until: asyncio.Event | None = None
        self._thread = Thread(target=self._serve, name=f"egress-{workspace_id}", daemon=True)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return ``argv`` so that the forwarder runs first."""
        return ["/bin/sh", f"{TARGET}/enter.sh", *argv]

    def contacts(self) -> tuple[Contact, ...]:
        """Return what the command has asked for."""
        return self._record.contacts()

    def __enter__(self) -> Self:
        """Listen. Raises SandboxStartError."""
        try:
            places.make_egress(self._directory)
            for name in SCRIPTS:
                _put(self._directory / name, (INSIDE / name).read_bytes())
            self._door = _listen(self._directory)
        except OSError as error:
            raise SandboxStartError(f"There is no way out for the sandbox: {error.strerror}.") from error
        self._thread.start()
        if not self._ready.wait(START_S):
            raise SandboxStartError("The proxy of the sandbox did not start.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._until is not None:
            self._loop.call_soon_threadsafe(self._until.set)
        self._thread.join(END_S)
        (self._directory / SOCKET).unlink(missing_ok=True)

    def _serve(self) -> None:
        async def serve() -> None:
            self._loop, self._until = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await Proxy(self._egress, self._door, self._record).serve(self._until)

        asyncio.run(serve())


def _put(path: Path, data: bytes) -> None:
    """Write a script once: the next commands find it, until there is another version."""
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
        path.chmod(0o644)


def _listen(directory: Path) -> socket.socket:
    """Return a socket that listens in ``directory``, which only MCC and its sandboxes' user can enter."""
    path = directory / SOCKET
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # By descriptor: the name of a unix socket has 107 bytes at most, and data directories lie deep.
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        door.bind(f"/proc/self/fd/{fd}/{SOCKET}")
    except OSError:
        door.close()
        raise
    finally:
        os.close(fd)
    path.chmod(0o666)
    door.listen(64)
    return door
