"""Orchestration overhead per step: what passes between an answer's last byte and the next request of the same run.

The same model server gives the same commands, one a step, to runs of Mission Control (real workers; hold, capture,
journal, live events, sandboxed ``run``) and to mini-swe-agent 2.x (own loop, litellm, no journal but its trajectory
file), once in its local environment, which is no sandbox, and once in its own of bubblewrap. The server takes the
times, so the model's own time does not count, and the command's time counts in all. One at a time, a value is the mean
over the steps of one run, and all take turns; twenty at once, it is the median over the steps of all runs, where ours
share two workers and mini-swe-agent has a process for each, as it is made to be run.
"""

import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

from django.db.models import Avg

from agents.models import Agent, Run
from bench import office
from bench.finding import Finding, Scale, Skipped, Target, percentile
from bench.model import Manner, Record
from bench.peers import installing

FILES = (
    "mkdir -p src && seq 400 > src/numbers.txt && printf 'def greet():\\n    return 1\\n' > src/app.py && ls -la src"
)
COMMANDS = [
    "ls -la && cat src/app.py  # {n}",
    "grep -rn def . | head -20; echo {n}",
    "echo 'note {n}' >> notes.txt && tail -3 notes.txt",
    "sed -n '10,40p' src/numbers.txt; echo {n}",
    "wc -l src/* notes.txt; echo {n}",
]
AT_ONCE, LATENCY_S = 20, 1.0
LOCAL, BUBBLEWRAP = "local", "bubblewrap"


def manner(steps: int, latency_s: float = 0.0, *, keeps_prompts: bool = False) -> Manner:
    return Manner([FILES, *COMMANDS * steps][: steps + 1], steps, latency_s, keeps_prompts=keeps_prompts)


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    try:
        mini: Path | None = installing.python_of(installing.MINI)
        missing = ""
    except Skipped as reason:
        mini, missing = None, str(reason)
    yield from _one_at_a_time(scale, mini, missing)
    yield from _many_at_once(scale, mini, missing)


def _one_at_a_time(scale: Scale, mini: Path | None, missing: str) -> Iterator[Finding]:
    steps, rounds = scale.of(4, 20, 100), scale.of(1, 5, 10)
    ours, inside = [], []
    theirs: dict[tuple[str, bool], list[float]] = {(LOCAL, False): [], (LOCAL, True): [], (BUBBLEWRAP, True): []}
    with office.model(manner(steps)) as model, office.cluster():
        agent = office.hire(model)
        for number in range(rounds + 1):
            run = _of_mission_control(agent, number)
            of_ours = _mean(gaps_ms(model.records(forget=True)))
            of_theirs = [_mean(gaps_ms(of_mini(model, mini, *how))) for how in theirs] if mini else []
            if number:  # the first round warms everybody up
                ours.append(of_ours)
                inside.append(_sandboxed_ms(run))
                for values, value in zip(theirs.values(), of_theirs, strict=False):
                    values.append(value)
    sandboxed = Finding("mini-swe-agent in bubblewrap", "ms/step", theirs[BUBBLEWRAP, True], skipped=missing)
    yield _beside(Finding("Mission Control", "ms/step", ours, note=f"{steps} steps, {rounds} runs"), sandboxed)
    yield Finding("of that, the sandboxed command", "ms/step", inside)
    yield sandboxed
    if mini:
        yield Finding("mini-swe-agent without a sandbox", "ms/step", theirs[LOCAL, True], None, "for comparison")
        yield Finding("… nor a trajectory file", "ms/step", theirs[LOCAL, False], None, "for comparison")


def _many_at_once(scale: Scale, mini: Path | None, missing: str) -> Iterator[Finding]:
    count, steps, rounds = scale.of(3, AT_ONCE, AT_ONCE), scale.of(3, 20, 100), scale.of(1, 3, 5)
    latency_s = LATENCY_S if scale is not Scale.QUICK else 0.2
    ours, theirs = [], []
    with office.model(manner(steps, latency_s)) as model, office.cluster():
        agent = office.hire(model, "crowd")
        for number in range(rounds):
            runs = [office.start(agent, number * count + each, stream=f"issue:{each}") for each in range(count)]
            office.until(partial(office.is_over, *runs), 60 + 10 * steps * latency_s)
            ours.append(_median_of_all(model.records(forget=True)))
            if mini:
                theirs.append(_median_of_all(of_minis(model, mini, BUBBLEWRAP, count)))
    rival = Finding(f"{count} at once: mini-swe-agent in bubblewrap, p50", "ms/step", theirs, skipped=missing)
    note = f"{count} runs, {steps} steps, {latency_s:g} s for an answer"
    yield _beside(Finding(f"{count} at once: Mission Control, p50", "ms/step", ours, note=note), rival)
    yield rival


def _beside(ours: Finding, theirs: Finding) -> Finding:
    """Return our finding with the target to take no longer than theirs."""
    if theirs.skipped:
        return ours
    target = Target("at most", theirs.median, f"at most mini-swe-agent in bubblewrap ({theirs.median:.1f})")
    return Finding(ours.what, ours.unit, ours.values, target, ours.note)


def _of_mission_control(agent: Agent, number: int) -> Run:
    run = office.start(agent, number, stream="issue:1")
    office.until(lambda: office.is_over(run), 120)
    return run


def _sandboxed_ms(run: Run) -> float:
    """Return the mean time of a command of ``run``, from the call of the tool to its result."""
    results = run.messages.filter(tool_name="run")
    return float(results.aggregate(mean=Avg("duration_ms"))["mean"])


def of_mini(model: office.Model, python: Path, place: str, save: bool) -> list[Record]:
    """Let mini-swe-agent carry out the commands of ``model``; return what the server noted."""
    return of_minis(model, python, place, 1, save)


def of_minis(model: office.Model, python: Path, place: str, count: int, save: bool = True) -> list[Record]:
    """Let ``count`` of them, each a process, carry out the commands at once; return what the server noted."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_mini(stack, model, python, place, each, save)) for each in range(count)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=300)
            if process.returncode:
                raise RuntimeError(f"mini-swe-agent failed: {errors[-2000:]}")
    time.sleep(0.05)
    return model.records(forget=True)


def _mini(
    stack: ExitStack, model: office.Model, python: Path, place: str, number: int, save: bool
) -> "subprocess.Popen[str]":
    home = stack.enter_context(tempfile.TemporaryDirectory(prefix="mcc-bench-mini-"))
    (Path(home) / "workspace").mkdir()
    script = str(Path(installing.__file__).parent / "mini.py")
    command = [str(python), script, f"{model.url}/mini-{number}/v1", f"{home}/workspace", place]
    own = {"PATH": os.environ["PATH"], "HOME": home, "MSWEA_GLOBAL_CONFIG_DIR": home, "MSWEA_SILENT_STARTUP": "1"}
    offline = {"MSWEA_CONFIGURED": "true", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    trajectory = [f"{home}/trajectory.json"] if save else []
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *trajectory], env=own | offline, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def _mean(gaps: list[float]) -> float:
    return sum(gaps) / len(gaps)


def _median_of_all(records: list[Record]) -> float:
    by_run: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_run[record.session].append(record)
    return percentile([gap for own in by_run.values() for gap in gaps_ms(own)], 0.5)


def gaps_ms(records: list[Record]) -> list[float]:
    """Return the milliseconds between each answer and the next question of one run."""
    ordered = sorted(records, key=lambda record: record.turn)
    return [(after.arrived - before.done) / 1e6 for before, after in pairwise(ordered)]
