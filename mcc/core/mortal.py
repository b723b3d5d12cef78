"""What processes share of which each may be killed at any moment.

Python's own queue is a pipe with a lock at either end. Who is killed while it waits for a message, or hands one over,
takes the lock with it, and all others wait for ever (https://github.com/django-q2/django-q2/issues/23); or it leaves
half a message behind, and nobody understands what comes after. The lock of a shared number goes the same way.
"""

import multiprocessing
import os
import socket
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

import django_q.queues

MOURNED_S = 2.0
ROOM_BYTES = 256 * 1024
"""No message is longer."""


class PacketQueue(django_q.queues.Queue):
    """A queue without locks: a message is a packet, which the kernel takes whole or not at all and gives to one reader.

    A message without room is reported and lost: the kernel takes half of ``ROOM_BYTES`` or more.
    """

    _reader: Any
    _writer: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        for end in (self._reader, self._writer):
            end.close()
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM_BYTES // 2)  # Linux doubles it for its own needs
        self._reader, self._writer = (_Packets(end.detach()) for end in ends)
        self._rlock = self._wlock = _NoLock()
        self.size.count = shared_number("i", 0)
        self._reset()


class _Packets(Connection):
    """An end of the queue: a message is what one call of the kernel takes or gives."""

    def _send_bytes(self, buf: bytes | memoryview) -> None:
        os.write(self.fileno(), buf)

    def _recv_bytes(self, maxsize: int | None = None) -> BytesIO:
        return BytesIO(os.read(self.fileno(), ROOM_BYTES))


class _NoLock:
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class MournedLock:
    """A lock that is free again a while after whoever held it was killed."""

    def __init__(self) -> None:
        self._lock = multiprocessing.RLock()
        self._is_left = False

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if not self._is_left and not self._lock.acquire(block, MOURNED_S if timeout is None else timeout):
            # Nobody alive holds it longer than it takes to hand a result over.
            self._is_left = block and timeout is None
            return self._is_left
        return True

    def release(self) -> None:
        if not self._is_left:
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def shared_number(typecode: str, value: float) -> Any:  # noqa: ANN401 - a Synchronized of multiprocessing
    """Return a ``multiprocessing.Value`` that nobody takes to the grave."""
    return multiprocessing.Value(typecode, value, lock=MournedLock())  # type: ignore[call-overload, no-any-return, unused-ignore]
