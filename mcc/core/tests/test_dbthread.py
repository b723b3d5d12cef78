"""What waits for the database thread together."""

import asyncio
import threading
import time

import pytest

from mcc.core.dbthread import DatabaseThread, belongs_to


def on_a_thread(scenario):
    db = DatabaseThread("test")
    try:
        return asyncio.run(scenario(db))
    finally:
        db.close()


def test_what_is_asked_while_the_thread_is_busy_is_one_call():
    calls = []

    def double(numbers):
        calls.append(list(numbers))
        return [2 * number for number in numbers]

    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        asked = [asyncio.create_task(db.run_together(double, number)) for number in range(5)]
        await asyncio.sleep(0.05)
        free.set()
        answers = await asyncio.gather(*asked)
        return await busy, answers, await db.run_together(double, 7)

    assert on_a_thread(scenario) == (True, [0, 2, 4, 6, 8], 14)
    assert calls == [[0, 1, 2, 3, 4], [7]]


def test_only_a_part_of_those_who_wait_goes_at_once_and_nobody_is_forgotten():
    calls = []

    def note(numbers):
        calls.append(len(numbers))
        return numbers

    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        asked = [asyncio.create_task(db.run_together(note, number, part=4)) for number in range(10)]
        await asyncio.sleep(0.05)
        free.set()
        await busy
        return await asyncio.wait_for(asyncio.gather(*asked), 5)

    assert on_a_thread(scenario) == list(range(10))
    assert calls == [2, 2, 1, 1, 1, 1, 1, 1]


def test_what_began_first_is_ended_first():
    done = []
    loops = []

    def take(words):
        done.append(words)
        # Not this thread's sleep but the loop's: it sees to whoever was served before.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.02), loops[0]).result()

    async def step(db, name):
        """Answer, result, next question: each asked for when the one before is done."""
        belongs_to(time.monotonic())
        await db.run(take, f"{name} begins")
        await db.run(take, f"{name} goes on")
        await db.run_together(lambda asked: [take(f"{one} leaves") for one in asked], name)

    async def scenario(db):
        loops.append(asyncio.get_running_loop())
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        steps = []
        for name in "abc":
            steps.append(asyncio.create_task(step(db, name)))
            await asyncio.sleep(0.05)
        later = asyncio.create_task(db.run(take, "asked later"))
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(busy, later, *steps)

    on_a_thread(scenario)
    # Whoever was just served asks again at the latest while the thread carries out what is next.
    assert done.index("a goes on") < done.index("c begins")
    assert done.index("a leaves") < done.index("c goes on")
    assert done.index("a leaves") < done.index("b leaves") < done.index("c leaves")
    assert done.index("b leaves") < done.index("asked later")


def test_what_begins_anew_counts_from_its_asking_whatever_its_task_belongs_to():
    done = []

    async def old(db):
        belongs_to(0)
        await asyncio.gather(db.run_as_new(done.append, "new"), db.run(done.append, "old"))

    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        between = asyncio.create_task(db.run(done.append, "between"))
        await asyncio.sleep(0.05)
        both = asyncio.create_task(old(db))
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(busy, between, both)

    on_a_thread(scenario)
    assert done == ["old", "between", "new"]


def test_who_waits_together_does_not_inherit_the_turn_of_who_was_served():
    """What is left over is asked for by the call before, which belonged to something older."""
    done = []

    def take(asked):
        done.extend(asked)
        return asked

    async def asking(db, begun, name):
        belongs_to(begun)
        await db.run_together(take, name, part=2)

    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        now = time.monotonic()
        together = [asyncio.create_task(asking(db, *one)) for one in ((0, "old"), (now + 60, "young"))]
        await asyncio.sleep(0.05)
        between = asyncio.create_task(db.run(done.append, "between"))
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(busy, between, *together)

    on_a_thread(scenario)
    assert done == ["old", "between", "young"]


def test_what_was_given_up_before_it_began_is_not_carried_out():
    done = []

    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        given_up = asyncio.create_task(db.run(done.append, "given up"))
        kept = asyncio.create_task(db.run(done.append, "kept"))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(busy, kept)
        with pytest.raises(ZeroDivisionError):
            await db.run(lambda: 1 / 0)
        return given_up.cancelled()

    assert on_a_thread(scenario)
    assert done == ["kept"]


def test_who_gives_up_takes_nothing_from_the_others():
    async def scenario(db):
        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        first, second = (asyncio.create_task(db.run_together(list, number)) for number in (1, 2))
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.sleep(0)
        free.set()
        await busy
        return await asyncio.wait_for(second, 5), first.cancelled()

    assert on_a_thread(scenario) == (2, True)


def test_what_goes_wrong_is_told_to_all_and_the_next_call_is_a_new_one():
    async def scenario(db):
        def fail(asked):
            raise ValueError(str(asked))

        free = threading.Event()
        busy = asyncio.create_task(db.run(free.wait))
        asked = [asyncio.create_task(db.run_together(fail, number)) for number in (1, 2)]
        await asyncio.sleep(0.05)
        free.set()
        await busy
        said = [str(error) for error in await asyncio.gather(*asked, return_exceptions=True)]
        with pytest.raises(ValueError, match="3"):
            await db.run_together(fail, 3)
        return said

    assert on_a_thread(scenario) == ["[1, 2]", "[1, 2]"]
