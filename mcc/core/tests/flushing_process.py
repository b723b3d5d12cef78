"""A process that lives on while its database dies, for `test_flushing`: ``python -m mcc.core.tests.flushing_process``.

Reads what to do from stdin, a line each, and says what became of it.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from mcc.core.flushing import FlushedThread


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": url, "MCC_ROLE": "worker"}


async def _heard() -> list[str]:
    return (await asyncio.to_thread(sys.stdin.readline)).split()


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def _begun(thread: "FlushedThread", work: Callable[[], int]) -> asyncio.Future[int]:
    """Have the thread carry out ``work`` while somebody waits for it."""
    free = threading.Event()
    before = asyncio.ensure_future(thread.run(free.wait))
    working, behind = asyncio.ensure_future(thread.run(work)), asyncio.ensure_future(thread.run(str))
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(before, behind)
    return working


async def _work() -> None:
    from mcc.core import flushing, handwritten
    from mcc.core.handwritten import Statement

    times = 0

    def write(words: str) -> int:
        nonlocal times
        inserted = Statement("INSERT INTO said VALUES (%s)", [words])
        handwritten.together(*flushing.soon(), inserted)
        times += 1
        return times

    thread = flushing.FlushedThread("test")
    while not await thread.run(flushing.soon):
        await asyncio.sleep(0.01)
    _say("ready")
    disk, holding, writing = threading.Event(), None, None
    while command := await _heard():
        match command:
            case ["write", words]:
                _say(f"handed out after {await thread.run(write, words)}")
            case ["press", words]:
                _say(f"handed out after {await (await _begun(thread, partial(write, words)))}")
            case ["hold", *_]:
                holding = asyncio.ensure_future(thread.flushes.run(disk.wait))
                _say("held")
            case ["commit", words]:
                writing = await _begun(thread, partial(write, words))
                _say("committed")
            case ["open", *_]:
                thread.flushes.open()
                _say("asked")
            case ["let", *_]:
                disk.set()
                assert holding and writing
                await holding
                _say(f"handed out after {await writing}")


if __name__ == "__main__":
    django.setup()
    asyncio.run(_work())
