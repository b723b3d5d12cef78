"""A workplace is closed whatever happens to the run that works there."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.errors import Interrupted
from agents.models import Run
from agents.runner.places import Place
from agents.workplaces import register


class Room:
    """A workplace that can tell whether it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def room():
    room = Room()
    register("room", lambda _: room)
    return room


async def test_a_place_is_closed_though_its_run_is_cancelled_while_all_threads_are_busy(room):
    with ThreadPoolExecutor(1) as threads:
        place, free = Place(threads), threading.Event()
        place.of(Run(workplace="room:1"))
        threads.submit(free.wait, 10)
        closing = asyncio.ensure_future(place.close())
        await asyncio.sleep(0)

        closing.cancel()
        await asyncio.sleep(0.01)
        free.set()
        await closing

        assert room.closed.is_set()
        with pytest.raises(Interrupted):
            place.of(Run(workplace="room:1"))
