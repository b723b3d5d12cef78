"""Open files that a child process is to inherit, and nothing else."""

import os
from types import TracebackType
from typing import Self


class Descriptors:
    """Open files that a process is to inherit. Those not yet closed are closed on the way out."""

    def __init__(self) -> None:
        self.open: list[int] = []

    def memory_file(self, data: bytes) -> int:
        fd = self._keep(os.memfd_create("mcc", os.MFD_CLOEXEC))
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _keep(self, fd: int) -> int:
        self.open.append(fd)
        return fd

    def pipe(self) -> int:
        """Return the reading end, which stays ours; the writing end is inherited, as the last in ``open``."""
        reading, writing = os.pipe()
        self._keep(writing)
        return reading

    def close(self) -> None:
        while self.open:
            os.close(self.open.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
