"""What processes share outlives each of them, wherever it is killed."""

import multiprocessing
import os
import signal
import time

import pytest

from mcc.core.mortal import PacketQueue, shared_number
from mcc.core.tests.machinery import wait_until

fork = multiprocessing.get_context("fork")
MESSAGE = "x" * 10_000
PATIENCE_S = 20


@pytest.fixture
def begin():
    """Run a function in a process of its own."""
    begun = []

    def begin(function, *args):
        begun.append(fork.Process(target=function, args=args))
        begun[-1].start()
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.join()


def counter():
    """Without a lock, which who is killed would keep."""
    return fork.Value("i", 0, lock=False)


def put_many(queue, seen):
    while True:
        queue.put(MESSAGE)
        seen.value += 1


def get_many(queue, seen):
    while True:
        assert queue.get() == MESSAGE
        seen.value += 1


def put(queue, message):
    queue.put(message)
    queue.close()
    queue.join_thread()


def hold(number):
    with number.get_lock():
        signal.pause()


def test_who_is_killed_while_a_message_is_sent_leaves_whole_ones_and_a_free_way(begin):
    queue, seen = PacketQueue(1_000), counter()
    sender = begin(put_many, queue, seen)
    wait_until(lambda: seen.value == 1_000)  # it waits for a place, and its messages for room in the kernel

    sender.kill()
    sender.join()
    begin(put, queue, "the last")

    messages = list(iter(queue.get, "the last"))
    assert set(messages) == {MESSAGE}


def test_readers_who_are_killed_at_any_moment_take_nothing_away_from_the_others(begin):
    queue, seen = PacketQueue(), counter()
    for _ in range(20):
        waiting, reading = begin(get_many, queue, seen), begin(get_many, queue, seen)
        before = seen.value
        for _ in range(20):
            queue.put(MESSAGE)
        wait_until(lambda before=before: seen.value > before)
        for reader in (waiting, reading):
            reader.kill()
            reader.join()

    queue.put("the last")
    assert set(iter(queue.get, "the last")) <= {MESSAGE}


def test_each_message_goes_to_one_reader_in_the_order_of_its_sender():
    queue = PacketQueue()
    for number in range(100):
        queue.put(number)

    assert [queue.get() for _ in range(100)] == list(range(100))
    assert not queue._poll()


def test_a_message_without_room_is_reported_and_the_next_one_arrives(capfd):
    queue = PacketQueue()

    queue.put("x" * 1_000_000)
    queue.put("after it")

    assert queue.get() == "after it"
    assert "Message too long" in capfd.readouterr().err


def test_a_number_whose_holder_was_killed_is_free_again(begin):
    number = shared_number("i", 7)
    holder = begin(hold, number)
    wait_until(lambda: not number.get_lock().acquire(timeout=0.01) or number.get_lock().release())
    os.kill(holder.pid, signal.SIGKILL)

    began = time.monotonic()
    number.value += 1
    assert (number.value, time.monotonic() - began < PATIENCE_S) == (8, True)
