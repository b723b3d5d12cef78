"""One run at work: model, tools, model, tools, until an outcome, a wait, or somebody's wish.

The loop holds no state that matters. At every turn it reads the rows and does the next thing: results are missing, so
execute those calls; none are, so ask the model.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from itertools import zip_longest
from typing import TypeVar

from agents import circles, condensing, context, gateway, guards
from agents.context import Call, History
from agents.errors import CallFailed, Interrupted, LeaseLost
from agents.gateway import Completion, ModelCall
from agents.guards import Ending
from agents.models import Run
from agents.runner import condense, counting, cuts, hands, journal, ladder, reading, turns
from agents.runner.claims import Lease
from agents.runner.cuts import Cut
from agents.runner.deltas import Deltas
from agents.runner.journal import Done
from agents.runner.places import Place
from agents.runner.resting import Parked, Rest, Stop
from agents.runner.turns import Threads
from agents.services import runs
from agents.tools import registry
from agents.tools.registry import ToolContext, ToolResult
from budgets.models import Usage
from mcc.core import dbthread
from mcc.core.dbthread import DatabaseThread, to_the_end

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Drive:
    """Drives one run under one lease. ``go`` never raises; ``stop`` may be called at any time, on the event loop."""

    def __init__(self, lease: Lease, *, db: DatabaseThread, tools: Executor, threads: Threads, deltas: Deltas) -> None:
        self.lease = lease
        self.asking_since: float | None = None
        self._db = db
        self._tools = tools
        self._threads = threads
        self._deltas = deltas
        self._cancel = threading.Event()
        self._stop: Stop | None = None
        self._leaving = self._resting = False
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest(lease, db)
        self._first_step = 0
        """Where this claim began: an attempt at that step may have been made before, at later ones not."""
        self._begun = ""
        """The call that whoever drove the run before may have begun: calls are carried out in turn."""

    def start(self) -> "asyncio.Task[None]":
        self._task = asyncio.ensure_future(self.go())
        return self._task

    def leave(self) -> None:
        """Let go after the present step."""
        self._leaving = True

    @property
    def is_leaving(self) -> bool:
        return self._leaving

    def stop(self, why: Stop) -> None:
        """Break off: the open stream is closed, a command in the sandbox killed, the lease given back."""
        first = self._stop is None
        if first or why is Stop.LOST:
            self._stop = why
        if first and self._task is not None:
            self._cancel.set()
            self._task.cancel()

    def rest(self) -> None:
        """Break off a model call; let a command in the sandbox end, write down its result, then give the lease back."""
        self._resting = True
        if self.asking_since is not None:
            self.stop(Stop.FREEZE)

    async def go(self) -> None:
        place = Place(self._tools)
        try:
            try:
                await self._work(place)
            except BaseException as reason:
                # The place is closed before the lease is given back: whoever claims the run next may open it at once.
                self._rest.stop_clock()
                await place.close()
                await to_the_end(self._rest.because(reason, self._stop))
        except LeaseLost as lost:
            logger.warning("lost %s", lost)
        except Exception:
            logger.exception("run %s is left to its lease", self.lease.run_id)
        finally:
            self._deltas.forget(self.lease.run_id)
            await place.close()

    async def _work(self, place: Place) -> None:
        """Take step after step. Returns when the run has ended; raises why it rests before its end."""
        dbthread.belongs_to(time.monotonic())
        run, history = await self._db.run(reading.begin, self.lease)
        self._first_step = run.step
        self._begun = next((call.id for call in history.pending(run)), "")
        if run.workplace and run.repository_map is None and not history.answers(run):
            await self._draw_map(run, place)
        while True:
            if run.control == Run.Control.CANCEL:
                self._stop = Stop.CANCEL
            if self._stop is not None or self._leaving or self._resting:
                raise Interrupted
            calls = history.pending(run) or await self._next_calls(run, history, place)
            if calls is None or not await self._execute(run, history, calls, place):
                return
            if not calls:
                await self._db.run(reading.look, self.lease, run, history)

    async def _draw_map(self, run: Run, place: Place) -> None:
        """Fix the map before the first call: from then on it is part of the prefix."""
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(self._tools, hands.map_of, lambda: place.of(run))
        await self._db.run(journal.store_map, self.lease, run, text)

    # The model

    async def _next_calls(self, run: Run, history: History, place: Place) -> list[Call] | None:
        """Return what the model wants done, perhaps nothing; None when the run has ended."""
        if ending := guards.limit_reached(run, run.worked_ms + self._rest.unwritten_ms()):
            await self._rest.finish(ending)
            return None
        tools = [tool.as_function() for name in run.tools if (tool := registry.get(name))]
        messages = context.prompt(run.prefix, history)
        call = ModelCall(
            run=run,
            messages=messages,
            tools=tools,
            reference_prefix=f"run:{run.pk}/step:{run.step}",
            counted=counting.counted(run, history, messages),
            is_new=run.step > self._first_step,
        )
        history.size = call.bytes_bound
        cut = cuts.shortening(history)
        if (circle := circles.noticed(history.results(run), run.tools)) and circle.is_hopeless:
            cut = await self._db.run(cuts.climb, run, history, circle)
            if isinstance(cut, Ending):
                await self._db.run(ladder.end, self.lease, run, history, circle, cut, self._rest.worked_ms())
                return None
        match cut:
            case Ending():
                await self._rest.finish(cut)
                return None
            case Cut():
                await self._make(cut, run, history, tools)
                return []
        return await self._ask(run, history, call, place)

    async def _ask(self, run: Run, history: History, call: ModelCall, place: Place) -> list[Call] | None:
        """Let the model answer, charge for it and journal it. Nothing comes of a prompt that it finds too long."""
        stored: journal.Stored | None = None

        def store(completion: Completion, usage: Usage) -> None:
            nonlocal stored
            self._deltas.forget(run.pk)
            stored = journal.store_answer(self.lease, run, history, completion, usage, self._rest.worked_ms())

        try:
            await self._complete(
                call,
                store,
                lambda text: self._deltas.hear(run.pk, run.step, run.stream, text),
                lambda: self._open_ahead(run, place),
            )
        except CallFailed as failure:
            if not failure.too_long:
                raise
            return await self._shrink(run, history)
        run.step += 1
        history.refusals = 0
        if stored is None:
            # It was journaled before: a commit had arrived whose answer got lost. The next look reads it.
            return []
        history.write(stored.message)
        return None if stored.ending else context.calls_of(stored.message)

    async def _shrink(self, run: Run, history: History) -> list[Call] | None:
        """Take the window for smaller than we thought; the next turn condenses. None: the run has ended."""
        self._first_step = run.step
        if condensing.learn(history):
            return []
        await self._rest.finish(cuts.no_room(history))
        return None

    async def _complete(
        self,
        call: ModelCall,
        store: gateway.Store,
        on_text: gateway.OnText,
        on_answer: gateway.OnAnswer = gateway.unnoticed,
    ) -> Completion:
        self.asking_since = time.monotonic()
        try:
            answer = await gateway.complete(call, db=self._db, on_text=on_text, store=store, on_answer=on_answer)
        finally:
            self.asking_since = None
        # What follows, until the next question is asked, is the step that began with this answer.
        dbthread.belongs_to(answer.answered_at)
        return answer

    async def _make(self, cut: Cut, run: Run, history: History, tools: list[registry.JSON]) -> None:
        """Replace what ``cut`` says by notes. Nobody watches them being written."""

        async def complete(call: ModelCall, store: gateway.Store) -> Completion:
            return await self._complete(call, store, _unheard)

        await condense.condense(cut, run, history, tools, complete, lease=self.lease, db=self._db)

    # The tools

    async def _execute(self, run: Run, history: History, calls: list[Call], place: Place) -> bool:
        """Carry out ``calls`` in order. Says whether the run goes on."""
        for call, following in zip_longest(calls, calls[1:]):
            if ending := guards.out_of_time(run, run.worked_ms + self._rest.unwritten_ms()):
                await self._rest.finish(ending)
                return False
            done = await self._carry_out(run, history, call, place)
            if done.result.waits_for:
                raise Parked(done.result.waits_for)
            # It has happened, so it is written down, though somebody stops the run before the database comes to it.
            stored = await to_the_end(
                self._db.run(journal.store_result, self.lease, run, history, done, following, self._rest.worked_ms())
            )
            if stored.ending:
                return False
            history.write(stored.message)
            if stored.others_wrote:
                await self._db.run(history.catch_up)
            else:
                history.confirm()
            if self._stop is not None or self._resting:
                raise Interrupted
        return True

    async def _is_overruled(self, run: Run, call: Call) -> bool:
        """Whether ``call``, of a tool that submits, would end the run over what a person has just said."""
        return call.id != self._begun and await self._db.run(lambda: runs.unheard(run).exists())

    async def _carry_out(self, run: Run, history: History, call: Call, place: Place) -> Done:
        started = time.monotonic()
        try:
            order = guards.order_of(call.name, call.arguments, run.tools, may_be_cut=call.may_be_cut)
        except guards.BadCall as problem:
            return Done(call, ToolResult(str(problem), is_error=True), 0, bad=True)
        # By the name that was meant: by it the journal tells what was changed.
        call = replace(call, name=order.tool.name)
        if order.tool.submits and await self._is_overruled(run, call):
            return Done(call, ToolResult(guards.SPOKEN, is_error=True), 0)

        results = history.results(run)

        def work() -> ToolResult:
            caller = ToolContext(run, call.id, place.of(run), self._cancel, again=call.id == self._begun)
            return order.tool.function(caller, **order.arguments)

        def carry_out() -> ToolResult:
            result = order.with_note(hands.answered(work))
            is_over = result.outcome is not None or result.waits_for
            marks = circles.marks(call.name, call.arguments, result)
            if is_over or not circles.is_look_due(run, results, order.tool.name, marks):
                return result
            return hands.with_tree(result, place.of(run), self._cancel)

        await place.opened()
        result = await self._on_a_thread(run, place, carry_out)
        return Done(call, result, round(1_000 * (time.monotonic() - started)))

    def _open_ahead(self, run: Run, place: Place) -> None:
        """Open the place of who will work there while the model goes on with an answer that has begun."""
        if hands.will_work(run):
            place.open_ahead(lambda: self._on_a_thread(run, place, lambda: hands.open_ahead(lambda: place.of(run))))

    async def _on_a_thread(self, run: Run, place: Place, work: Callable[[], T]) -> T:
        """Return what ``work`` gives on a thread, when it is the turn of the run's project.

        Who is cancelled waits for it: it was told, and what it still brings to an end has happened and is written down.
        """
        async with self._threads.one(turns.project_of(run)):
            future = asyncio.get_running_loop().run_in_executor(self._tools, work)
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                await place.break_off()
                await asyncio.wait({future})
                return future.result()


def _unheard(text: str | None) -> None:
    """Forget a piece of an answer."""
