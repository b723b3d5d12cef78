"""What a measurement of runs needs: a model, an agent, runs, and the processes of the product around them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from django.conf import settings

from agents.models import Agent, ModelCard, Outcome, Provider, Purpose, Role, Run
from agents.sandbox import choice
from agents.services import runs, staff
from bench import desk, postgres
from bench.finding import Skipped
from bench.model import Manner, Record
from budgets.models import Price
from mcc.core import pulse, supervisor
from mcc.core.models import Heartbeat

MICRO_USD_PER_MTOK = 1_000_000


class Model:
    """The model server of ``bench.model`` in a process of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def records(self, forget: bool = False) -> list[Record]:
        with urllib.request.urlopen(f"{self.url}/{'forget' if forget else 'records'}", timeout=60) as answer:  # noqa: S310
            return [Record(**line) for line in json.load(answer)]


@contextmanager
def model(manner: Manner) -> Iterator[Model]:
    command = [sys.executable, "-m", "bench.model", json.dumps(asdict(manner))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Model(int(process.stdout.readline()))
        finally:
            process.kill()


def hire(model: Model, name: str = "bench", window_tokens: int = 0) -> Agent:
    """Return a coder whose model is at ``model``, with all the tools of a coder. 0: a window of the usual size."""
    desk.install()
    provider = Provider.objects.create(
        name=f"at-{name}", kind=Provider.Kind.OPENAI_COMPATIBLE, base_url=f"{model.url}/{name}/v1"
    )
    prices = {"input_nanousd_per_mtok": MICRO_USD_PER_MTOK, "output_nanousd_per_mtok": MICRO_USD_PER_MTOK}
    price = Price.objects.create(provider=provider.name, model="bench/model", **prices)
    window = {"context_tokens": window_tokens} if window_tokens else {}
    card = ModelCard.objects.create(provider=provider, name=price.model, price=price, **window)
    return staff.hire(name=name, role=Role.CODER, model=card)


def start(agent: Agent, number: int, *, stream: str = "", steps: int = 500) -> Run:
    """Put ``agent`` to work at a desk of its own."""
    return runs.start(
        agent,
        purpose=Purpose.IMPLEMENT,
        title=f"Measured run {number}",
        order="Carry out the commands, then submit.",
        workplace=f"{desk.KIND}:bench-{agent.name}-{number}",
        stream=stream,
        step_limit=steps,
    )


def need_sandbox() -> None:
    """Raises Skipped where no command can run."""
    found = choice().probe()
    if not found.available:
        raise Skipped(f"no sandbox: {found.why}")


def until(condition: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {limit_s} s")
        time.sleep(pause_s)


def is_over(*measured: Run) -> bool:
    """Whether all runs have ended. Raises when one did not end well."""
    ended = Run.objects.filter(pk__in=[run.pk for run in measured], status=Run.Status.FINISHED)
    if failed := ended.exclude(outcome=Outcome.SUBMITTED).first():
        raise RuntimeError(f"{failed}: {failed.outcome}, {failed.outcome_detail}")
    return ended.count() == len(measured)


@contextmanager
def _process(command: list[str], role: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, env={**os.environ, "MCC_ROLE": role, **environment}, cwd=settings.BASE_DIR)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def cluster(workers: int = 2, **environment: str) -> Iterator[list[int]]:
    """Run the workers; give the ids of the worker processes once each has given a sign of life."""
    command = [sys.executable, "-m", "bench.cluster"]
    with _process(command, "worker", MCC_WORKERS=str(workers), **environment):
        until(lambda: pulse.workers_alive() >= workers, 60)
        names = Heartbeat.objects.filter(name__startswith=pulse.PREFIX).values_list("name", flat=True)
        yield [int(name.rsplit(":", 2)[1]) for name in names]


@contextmanager
def web() -> Iterator[int]:
    """Run daphne as the supervisor does; give its port once it answers."""
    port = postgres.free_port()
    command = supervisor.web("127.0.0.1", port)._command
    with _process(command, "web"):
        until(lambda: _answers(port), 60)
        yield port


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def rss_mb(pid: int) -> float:
    return _memory_mb(pid, "Rss")


def pss_mb(pid: int) -> float:
    """Return what a process holds, where pages that are shared count once for all who share them."""
    return _memory_mb(pid, "Pss")


def _memory_mb(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def cpu_s(pid: int) -> float:
    """Return the processor time that a process and its ended children have taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
