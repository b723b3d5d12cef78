"""``python -m tests.journeys --rounds 200``: the fault campaign, on SQLite first and then on PostgreSQL and Redis."""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator

from tests.journeys.chaos import Campaign, Round
from tests.journeys.victims import HOUSES, house


def main() -> int:
    options = _options()
    print(f"seed {options.seed}", flush=True)
    played: list[Round] = []
    for name in options.on:
        print(f"On {name}:", flush=True)
        for now in rounds(name, options.rounds // len(options.on), options.seed):
            print(now, flush=True)
            played.append(now)
    print(summary(played))
    return 1 if any(now.findings for now in played) else 0


def rounds(name: str, number: int, seed: str) -> Iterator[Round]:
    """Play ``number`` rounds; where one does not end, the rest is played by a new company."""
    left = range(1, number + 1)
    while left:
        with house(name) as built:
            now = None
            for now in Campaign(built, f"{seed}/{left[0]}").play(left):
                yield now
            left = left[now.number - left[0] + 1 :] if now else left


def summary(played: list[Round]) -> str:
    kills = Counter(now.target for now in played if now.hit)
    moments = Counter(now.moment for now in played if now.hit)
    findings = [finding for now in played for finding in now.findings]
    blocked = sum(bool(now.blocked) for now in played)
    return "\n".join(
        [
            f"{len(played)} rounds, {kills.total()} kills, {sum(now.done for now in played)} issues done, "
            f"{blocked} rounds with somebody blocked, {len(findings)} findings",
            "killed:  " + ", ".join(f"{name} {count}" for name, count in kills.most_common()),
            "moments: " + ", ".join(f"{name} {count}" for name, count in moments.most_common()),
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.journeys", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="in all")
    parser.add_argument("--seed", default=str(random.randrange(10**6)), help="of an earlier campaign, for its schedule")
    parser.add_argument("--on", choices=HOUSES, nargs="+", default=list(HOUSES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
