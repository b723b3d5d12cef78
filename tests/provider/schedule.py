"""Misbehaviour by seed: a request meets the same fate in every run, in whatever order requests arrive."""

import random
from collections.abc import Mapping
from decimal import Decimal

from tests.provider import modes
from tests.provider.answer import Answer, Mode
from tests.provider.faults import FAULTS

MOST_NANOUSD = 9_000_000


def by_seed(seed: object, *, share: float = 0.6, faults: Mapping[str, Mode] = FAULTS) -> Mode:
    """Return a mode that makes something of ``faults`` with that ``share`` of the requests, at a cost by chance.

    Chance is told by ``seed`` and the Idempotency-Key of a request alone, but for its first part: the number of the run
    is another in each database.
    """
    names = sorted(faults)

    def mode(answer: Answer) -> None:
        chance = random.Random(f"{seed}/{answer.generation.reference.partition('/')[2]}")
        answer.cost = Decimal(chance.randint(1, 10**3 * MOST_NANOUSD)).scaleb(-12)
        answer.generation.misses = chance.choice((0, 0, 1, 3))
        answer.generation.fault = chance.choice(names) if chance.random() < share else ""
        faults.get(answer.generation.fault, modes.plain)(answer)

    return mode
