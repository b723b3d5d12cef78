"""The Docker daemon, as MCC talks to it: the only module that imports its SDK.

A connection belongs to one thread of one process: the SDK's session is not safe to share.
https://docs.docker.com/engine/api/v1.41/
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import docker
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from agents.sandbox.errors import SandboxGone, SandboxStartError

TIMEOUT_S = 30
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
CONFLICT = 409


class NotRunning(SandboxStartError):
    """The container is there and stands still."""


class NameTaken(SandboxStartError):
    """Another container has the name."""


@dataclass(frozen=True)
class About:
    """What the daemon says of itself. ``warnings`` name limits that its kernel does not keep."""

    version: str
    cgroup_version: str
    warnings: tuple[str, ...]
    security: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """``key`` is the hash of what it holds, by which it can be named, too."""

    key: str
    volumes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A container that is there, running or not."""

    key: str
    name: str
    labels: Mapping[str, str]


class Conversation:
    """The connection to a command in a container: what it writes comes out, in frames, its input goes in."""

    def __init__(self, raw: socket.SocketIO) -> None:
        self._raw = raw
        # Private names, for the SDK hands out the file and not the socket, and forgets what it has read too much.
        self._response = raw._response  # type: ignore[attr-defined]
        self.socket: socket.socket = raw._sock  # type: ignore[attr-defined]
        self.socket.setblocking(False)

    def early(self) -> bytes:
        """Return what came in one piece with the answer's headers, and so lies in the buffer behind them."""
        return self._response.raw._fp.fp.read1() or b""

    def end_input(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """Let the daemon know that nobody listens any more. From any thread; harmless the second time.

        Closing alone leaves the connection open, and a daemon that is stuck on a flooded pipe takes 10 s to kill.
        """
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.hang_up()
        for close in (self._raw.close, self.socket.close, self._response.close):
            with contextlib.suppress(OSError, ValueError):
                close()


class Engine:
    """Requests to the daemon at ``address``. Threads may share it.

    Every method raises SandboxGone for a container that is not there any more and SandboxStartError for all else
    that goes wrong.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address or os.environ.get("DOCKER_HOST", "") or DEFAULT_ADDRESS
        self._version = "auto"
        self._own = threading.local()

    @property
    def _client(self) -> docker.APIClient:
        pid, client = getattr(self._own, "client", (0, None))
        if client is None or pid != os.getpid():
            client = docker.APIClient(self.address, version=self._version, timeout=TIMEOUT_S)
            self._version = client.api_version
            self._own.client = (os.getpid(), client)
        return client

    def about(self) -> About:
        with _plain_errors():
            found = self._client.info()
        return About(
            version=found["ServerVersion"],
            cgroup_version=found.get("CgroupVersion", "1"),
            warnings=tuple(found.get("Warnings") or ()),
            security=tuple(found.get("SecurityOptions") or ()),
        )

    def image(self, name: str) -> Image | None:
        """Return what is to be known of an image; None: it is not there. It is never fetched."""
        try:
            with _plain_errors():
                found = self._client.inspect_image(name)
        except SandboxGone:
            return None
        return Image(str(found["Id"]), tuple((found.get("Config") or {}).get("Volumes") or ()))

    def create(self, name: str, config: Mapping[str, object]) -> str:
        """Make a container and return its key. Raises NameTaken."""
        try:
            with _plain_errors():
                return str(self._client.create_container_from_config(config, name)["Id"])
        except NotRunning as error:
            raise NameTaken(error.detail) from error

    def start(self, key: str) -> None:
        with _plain_errors():
            self._client.start(key)

    def change(self, key: str, allotment: Mapping[str, object]) -> None:
        """Give a container other limits while it runs."""
        with _plain_errors():
            client = self._client
            answer = client._post_json(client._url("/containers/{0}/update", key), data=allotment)
            client._result(answer, json=True)

    def kill(self, key: str) -> None:
        """Kill every process of a container and wait for their end. Harmless when none runs."""
        with contextlib.suppress(SandboxGone, NotRunning), _plain_errors():
            self._client.kill(key)
            self._client.wait(key, timeout=10)

    def remove(self, key: str) -> None:
        """Kill and delete a container. Harmless when it is gone."""
        with contextlib.suppress(SandboxGone), _plain_errors():
            try:
                self._client.remove_container(key, v=True, force=True)
            except APIError as error:
                if error.status_code != CONFLICT:  # somebody else is removing it
                    raise

    def processes(self, key: str) -> int:
        with _plain_errors():
            return len(self._client.top(key, ps_args="-eo pid")["Processes"] or ())

    def talk(self, key: str, argv: Sequence[str], *, uid: int, env: Mapping[str, str], has_input: bool) -> Conversation:
        """Start ``argv`` in a running container. Raises NotRunning."""
        with _plain_errors():
            client = self._client
            made = client.exec_create(
                key, list(argv), stdin=has_input, tty=False, workdir="/", environment=dict(env), user=f"{uid}:{uid}"
            )
            return Conversation(client.exec_start(made["Id"], socket=True, tty=False))

    def containers(self, labels: Mapping[str, str]) -> list[Found]:
        """Return all containers with these labels, running or not."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with _plain_errors():
            rows = self._client.containers(all=True, filters={"label": wanted})
        return [Found(row["Id"], row["Names"][0].lstrip("/"), row.get("Labels") or {}) for row in rows]


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise SandboxGone(str(error.explanation or error)) from error
    except APIError as error:
        kind = NotRunning if error.status_code == CONFLICT else SandboxStartError
        raise kind(str(error.explanation or error)) from error
    except (DockerException, RequestException, OSError) as error:
        raise SandboxStartError(f"Docker does not answer: {error}") from error
