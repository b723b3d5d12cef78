"""One attempt at a call: set aside, send, listen, charge. Whatever happens to it, its hold tells the truth."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from django.db import InterfaceError, OperationalError, transaction

from agents import client
from agents.errors import CallFailed, LeaseLost
from agents.gateway import billing, wire
from agents.gateway.call import Completion, ModelCall, OnAnswer, OnText, Store
from agents.gateway.candidate import LEAST_OUTPUT_TOKENS, Candidate
from agents.gateway.draft import MOST_CHARS, Draft
from agents.models import Charge, Message
from agents.services import runs
from budgets.errors import BudgetExceeded, GenerationReused, HoldNotOpen
from budgets.models import Account, Hold
from budgets.services import ledger
from budgets.services import pricing as price_list
from budgets.services.bill import Bill
from mcc.core import redaction, rows
from mcc.core.dbthread import DatabaseThread, to_the_end

logger = logging.getLogger(__name__)

SHRINK_TRIES = 3
AT_ONCE = 8
"""One in so many of the calls that wait is admitted at the same time. All of them at once would end at the same time,
and wait for each other to be charged.
"""
ATTEMPTS_LOOKED_UP = 16
"""By name, a page at a time: SQLite finds no prefix in an index."""


class _Shortened(Exception):
    """What was set aside pays only for a shorter answer than the request asks for."""


class Attempt:
    """Use it once. What is done in the database is done on the database thread, by the methods that are not async."""

    def __init__(
        self,
        call: ModelCall,
        model: Candidate,
        accounts: list[Account],
        *,
        db: DatabaseThread,
        on_text: OnText,
        on_answer: OnAnswer,
        store: Store,
        is_first: bool = False,
    ) -> None:
        """``is_first``: nobody can have made an attempt before, so none is looked for."""
        self._call = call
        self._is_first = is_first
        self._model = model
        self._accounts = accounts
        self._db = db
        self._on_text = on_text
        self._on_answer = on_answer
        self._store = store
        self._prompt_tokens = call.bound_for(model.model)
        wanted = call.max_tokens or call.run.agent.max_tokens
        self._max_tokens = min(wanted, model.longest_answer(call.bytes_bound))
        self._draft = Draft()
        self._hold: Hold | None = None
        self._generation_id = ""
        self._noted = self._requested = self._was_heard = self._settled = False
        self._left_at = 0.0

    async def make(self) -> Completion:
        """Return the answer, paid for and journaled."""
        try:
            hold = await self._listen()
            bill = await billing.bill_of(
                hold, self._draft, self._model, generation_id=self._generation_id, patience=self._call.patience
            )
            completion = self._draft.completion(self._step, self._left_at, time.monotonic())
            await to_the_end(self._db.run_as_new(self._charge, hold, bill, completion))
            return completion
        except BaseException as error:
            await self._give_up(error)
            raise

    @property
    def _step(self) -> int:
        return self._call.run.step if self._call.step is None else self._call.step

    async def _set_aside(self, reference: str, committed: asyncio.Event) -> Hold:
        """Hold what the attempt can cost, and commit that it is sent, with others where many calls leave at once.

        Sets ``committed`` once it only has to reach the disk. Raises BudgetExceeded, AccountFrozen, and LeaseLost when
        somebody else makes this very attempt.
        """
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, committed.set)
        hold = await self._db.run_together(_hold_together, (self._wanted(reference), tell), part=AT_ONCE)
        if hold is None:
            hold = await self._db.run(self._hold_what_fits, reference)
        self._hold = hold
        return hold

    def _wanted(self, reference: str) -> ledger.Wanted:
        return ledger.Wanted(
            self._accounts,
            price_list.estimate(self._model.price, self._prompt_tokens, self._max_tokens),
            reference=reference,
            model=self._model.model,
            provider=self._model.endpoint.name,
        )

    def _hold_what_fits(self, reference: str) -> Hold:
        """Return the hold. Shrinks ``max_tokens`` when the budget allows only a shorter answer, if it is of any use."""
        for tries_left in reversed(range(SHRINK_TRIES)):
            try:
                return ledger.hold_alone(self._wanted(reference))
            except BudgetExceeded as refusal:
                if not tries_left or not self._shrink():
                    refusal.needed_nanousd = self._least()
                    raise
            except HoldNotOpen as refusal:
                raise LeaseLost(f"{reference} is made by somebody else") from refusal
        raise AssertionError("unreachable")

    @property
    def _stem(self) -> str:
        return f"{self._call.reference_prefix}/attempt:"

    def _next_reference(self) -> str:
        """Return a name for this attempt: those before it are in the ledger, from whichever process."""
        first = 1
        while True:
            names = [f"{self._stem}{number}" for number in range(first, first + ATTEMPTS_LOOKED_UP)]
            taken = ledger.taken(names)
            last = max((place for place, name in enumerate(names) if name in taken), default=-1)
            if last + 1 < len(names):
                return names[last + 1]
            first += ATTEMPTS_LOOKED_UP

    def _shrink(self) -> bool:
        """Ask for a shorter answer, one that the budget allows. False: it would be too short to be of use."""
        room = ledger.headroom(self._accounts)
        fits = None if room is None else price_list.affordable_tokens(self._model.price, self._prompt_tokens, room)
        if fits is None:
            return True
        if fits < min(LEAST_OUTPUT_TOKENS, self._max_tokens):
            return False
        self._max_tokens = min(fits, self._max_tokens)
        return True

    def _least(self) -> int:
        """Return what must be set aside for the shortest answer that is of use."""
        tokens = min(LEAST_OUTPUT_TOKENS, self._max_tokens)
        return price_list.estimate(self._model.price, self._prompt_tokens, tokens)

    async def _listen(self) -> Hold:
        """Set aside what the attempt can cost, hear the answer, and return what was set aside."""
        first = f"{self._stem}1"
        reference = first if self._is_first else await self._db.run(self._next_reference)
        committed = asyncio.Event()
        aside = asyncio.ensure_future(self._set_aside(reference, committed))
        aside.add_done_callback(lambda _: committed.set())
        try:
            await committed.wait()
            await self._send(reference, aside)
        except _Shortened:
            await self._send(reference, aside)
        except BaseException:
            with suppress(Exception):
                await to_the_end(aside)
            raise
        return aside.result()

    async def _send(self, reference: str, aside: asyncio.Future[Hold]) -> None:
        """Send the request, which is made ready while its hold is on its way to the disk, and hear the answer."""
        most = self._max_tokens
        request = wire.request_of(self._call, self._model, max_tokens=most, reference=reference)

        async def leave() -> None:
            await to_the_end(aside)
            if self._max_tokens != most:
                raise _Shortened
            self._requested, self._left_at = True, time.monotonic()

        async with client.answering(self._model.endpoint, request, leave) as answer:
            self._on_answer()
            await self._learn_id(answer.generation_id)
            try:
                await self._hear(answer)
            except CallFailed as failure:
                if not self._draft.is_billed:
                    raise
                logger.info("%s had all it needs when: %s", reference, failure)
        if not self._draft.is_whole:
            raise CallFailed(f"{self._model.endpoint.name} ended the answer too early", may_be_billed=True)

    async def _hear(self, answer: client.Answer) -> None:
        async for piece in answer:
            if not self._generation_id and self._model.endpoint.speaks_openrouter:
                await self._learn_id(piece.generation_id)
            if text := self._draft.add(piece):
                self._was_heard = True
                self._on_text(text)
            if self._draft.is_too_long:
                raise CallFailed(
                    f"{self._model.endpoint.name} does not stop: its answer passed {MOST_CHARS:,} characters",
                    permanent=True,
                    may_be_billed=True,
                )

    async def _learn_id(self, generation_id: str) -> None:
        """Write the name of the generation down before its first chunk: it finds the bill if the rest gets lost."""
        if generation_id and not self._noted:
            self._generation_id = generation_id
            assert self._hold is not None
            self._noted = await self._db.run_together(ledger.note_together, (self._hold, generation_id))
            if not self._noted:
                await self._db.run(self._note_id)

    def _note_id(self) -> None:
        if self._hold is None or self._noted:
            return
        try:
            ledger.note_generation(self._hold, self._generation_id)
        except GenerationReused:
            # The provider gives one name to several answers, so it names none.
            logger.warning("%s: the provider repeats the id of a generation", self._hold.reference)
            self._generation_id = ""
        self._noted = True

    def _charge(self, hold: Hold, bill: Bill, completion: Completion) -> None:
        """Charge for the answer and journal it, or, if it may not be journaled, at least charge for it."""
        again = hold.state == Hold.State.CAPTURED  # a commit can arrive though its answer got lost
        try:
            with transaction.atomic():
                usage = ledger.capture(hold, bill, savepoint=False)
                is_new = rows.insert(Charge(usage=usage, run=self._call.run), ignore_conflicts=True)
                if not (is_new or again):
                    runs.take_cost_back(self._call.run, usage)  # the sweeper was faster
                if not (again and Message.objects.filter(usage=usage).exists()):
                    self._store(completion, usage)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            with transaction.atomic():
                runs.add_cost(ledger.capture(hold, bill))
            self._settled = True
            raise
        self._settled = True
        if bill.cost_nanousd > hold.amount_nanousd:
            # The run keeps the price in memory; what was just learned of it must count at the next step.
            self._model.price.refresh_from_db(fields=["slack_ppm"])

    async def _give_up(self, error: BaseException) -> None:
        """Leave the hold as what it is by now; ``error`` says why. Never hides ``error`` behind one of its own."""
        if self._hold is None or self._settled:
            return
        if self._was_heard:
            self._on_text(None)
        if isinstance(error, CallFailed) and error.generation_id and not self._generation_id:
            self._generation_id = error.generation_id
        try:
            await to_the_end(self._db.run(self._let_go, self._hold, error))
        except Exception:
            logger.exception("%s is left to the sweeper", self._hold.reference)

    def _let_go(self, hold: Hold, error: BaseException) -> None:
        note = redaction.redact(str(error)) if isinstance(error, CallFailed) else type(error).__name__
        if not self._requested or (isinstance(error, CallFailed) and not error.may_be_billed):
            ledger.release(hold, note)
            return
        if self._generation_id:
            self._note_id()
        ledger.lose(hold, note)


def _hold_together(asked: Sequence[tuple[ledger.Wanted, Callable[[], object]]]) -> list[Hold | None]:
    """Hold what all of them want, and tell each that it is committed."""
    holds = ledger.hold_together([wanted for wanted, _ in asked])
    for _, tell in asked:
        with suppress(RuntimeError):  # its loop has ended meanwhile
            tell()
    return holds
