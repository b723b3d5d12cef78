"""Who can be killed in a company at work, and what has to be started again by hand afterwards."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.journeys.company import Company, Process, children, descendants, wait_until
from tests.ports import is_open
from tests.servers import PostgresServer, RedisServer

SANDBOX_PATIENCE_S = 5
DOWN_S = (0.1, 1.5)
"""How long a database server stays away."""


@dataclass
class House:
    """A company and the servers that it works with; None: it needs none."""

    company: Company
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None

    def start(self) -> None:
        for server in (self.postgres, self.redis):
            if server is not None:
                server.start()
        if self.postgres is not None and "DATABASE_URL" not in self.company.environment:
            self.company.environment["DATABASE_URL"] = self.postgres.with_new("company")
        if self.redis is not None:
            self.company.environment["REDIS_URL"] = self.redis.url
        self.company.start()

    def remove(self) -> None:
        self.company.kill()
        for server in (self.postgres, self.redis):
            if server is not None:
                server.remove()


HOUSES = ("sqlite", "postgresql")


@contextlib.contextmanager
def house(name: str) -> Iterator[House]:
    """A house of one of ``HOUSES``, not started; gone in the end, with all that is in it."""
    home = Path(tempfile.mkdtemp(prefix="mcc-company-"))
    home.chmod(0o711)
    servers = (PostgresServer(), RedisServer()) if name == "postgresql" else ()
    built = House(Company(home), *servers)
    try:
        yield built
    finally:
        built.remove()
        shutil.rmtree(home)


Blow = Callable[[House, random.Random], str]
"""Kills something and sees to it that it comes back, where nobody in the company does; says what it hit."""


def web(house: House, chance: random.Random) -> str:
    return _kill(_child(house.company, "daphne"))


def cluster(house: House, chance: random.Random) -> str:
    """The parent of the workers; they die with it."""
    return _kill(_child(house.company, "qcluster"))


def sentinel(house: House, chance: random.Random) -> str:
    return _kill(_sentinel(house.company))


def worker(house: House, chance: random.Random) -> str:
    """A process below the sentinel that hosts the runner: those with many threads do, pusher and monitor have one."""
    return _kill(chance.choice(_below(house.company, lambda process: process.threads > 2) or [None]))


def pusher(house: House, chance: random.Random) -> str:
    """The two processes with which django-q2 carries jobs to the workers and their results back."""
    return _kill(chance.choice(_below(house.company, lambda process: process.threads <= 2) or [None]))


def sandbox(house: House, chance: random.Random) -> str:
    """Any process that a worker started for a command in a sandbox or for git, as an out-of-memory killer would."""
    deadline = time.monotonic() + SANDBOX_PATIENCE_S
    while time.monotonic() < deadline:
        own = set(house.company.processes())
        found = [process for process in descendants(house.company.process.pid) if process.pid not in own]
        if found and _kill(victim := chance.choice(found)):
            return victim.name
        time.sleep(0.002)
    return ""


def supervisor(house: House, chance: random.Random) -> str:
    """``manage.py up`` itself, started again as systemd would once its children have let go of the port."""
    company = house.company
    hit = _kill(Process.of(company.process.pid))
    company.process.wait(10)
    wait_until(lambda: not is_open(company.port), 30, company.tail)
    company.start()
    return hit


def everything(house: House, chance: random.Random) -> str:
    """All processes at once: the power is cut, to the database too."""
    for server in (house.postgres, house.redis):
        if server is not None:
            server.kill()
    house.company.kill()
    house.start()
    return "all"


def postgres(house: House, chance: random.Random) -> str:
    house.postgres.kill()
    time.sleep(chance.uniform(*DOWN_S))
    house.postgres.start()
    return "postgres"


def backend(house: House, chance: random.Random) -> str:
    """One process of PostgreSQL: it throws all others out and reads its log, as after a crash of its own."""
    return _kill(Process.of(chance.choice(house.postgres.backends())))


def redis(house: House, chance: random.Random) -> str:
    house.redis.kill()
    time.sleep(chance.uniform(*DOWN_S))
    house.redis.start()
    return "redis"


BLOWS: dict[str, Blow] = {
    "web": web,
    "worker": worker,
    "sandbox": sandbox,
    "cluster": cluster,
    "sentinel": sentinel,
    "pusher or monitor": pusher,
    "supervisor": supervisor,
    "everything": everything,
}
OF_SERVERS: dict[str, Blow] = {"PostgreSQL": postgres, "a backend of PostgreSQL": backend, "Redis": redis}


def blows(house: House) -> dict[str, Blow]:
    return BLOWS | (OF_SERVERS if house.postgres is not None else {})


def _kill(victim: Process | None) -> str:
    """Kill it; return its name, "" when it was gone already."""
    if victim is None or not victim.is_alive():
        return ""
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim.pid, signal.SIGKILL)
        return victim.name
    return ""


def _child(company: Company, mark: str) -> Process | None:
    return next((child for child in children(company.process.pid) if mark in child.line), None)


def _sentinel(company: Company) -> Process | None:
    parent = _child(company, "qcluster")
    return next(iter(children(parent.pid)), None) if parent else None


def _below(company: Company, fits: Callable[[Process], bool]) -> list[Process]:
    parent = _sentinel(company)
    return [child for child in children(parent.pid) if fits(child)] if parent else []
