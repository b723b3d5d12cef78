"""Webhooks on bad days: some are never sent, some come twice, and they come in any order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Weather:
    """``lost`` and ``twice`` are shares (0 to 1) of what is to be sent, ``late_s`` how late at most something comes.

    What is lost was never sent, so it is in no list of deliveries. What comes twice has the same GUID. Chosen by
    ``seed`` in the order in which things happen; what is sent again on request always goes out, once.
    """

    lost: float = 0.0
    twice: float = 0.0
    late_s: float = 0.0
    seed: int = 0
    _chance: random.Random = field(init=False, repr=False)

    @classmethod
    def of(cls, text: str) -> Weather:
        """Return the weather of ``lost=0.1,twice=0.2,late_s=2,seed=1``, any of them. Raises ValueError."""
        given = dict(pair.split("=", 1) for pair in text.split(","))
        if unknown := given.keys() - {"lost", "twice", "late_s", "seed"}:
            raise ValueError(f"no such weather: {', '.join(sorted(unknown))}")
        return cls(seed=int(given.pop("seed", "0")), **{name: float(value) for name, value in given.items()})

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - no secret

    def delays_s(self) -> list[float]:
        """Return for one delivery how late each copy of it goes out."""
        if self._chance.random() < self.lost:
            return []
        copies = 2 if self._chance.random() < self.twice else 1
        return [self._chance.uniform(0, self.late_s) for _ in range(copies)]
