"""Orchestration overhead per step of one run: what passes between an answer's last byte and the next request.

The same model server gives the same commands, one a step, to a run of Mission Control (real workers; hold, capture,
journal, live events, sandboxed ``run``) and to mini-swe-agent 2.x (own loop, litellm, no sandbox, no journal but its
trajectory file). The server takes the times, so the model's own time does not count, and the command's time counts in
both. A value is ``(wall time - model time) / steps`` of one run; the two take turns.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from django.db.models import Avg

from agents.models import Agent, Run
from bench import office
from bench.finding import Finding, Scale, Skipped, Target
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


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    steps, rounds = scale.of(4, 40, 100), scale.of(1, 5, 10)
    try:
        mini = installing.python_of(installing.MINI)
        missing = ""
    except Skipped as reason:
        missing = str(reason)
    manner = Manner(commands=[FILES, *COMMANDS * steps][: steps + 1], steps=steps)
    ours, inside, bare, saving = [], [], [], []
    with office.model(manner) as model, office.cluster():
        agent = office.hire(model)
        for number in range(rounds + 1):
            run = _of_mission_control(agent, number)
            of_ours = per_step_ms(model.records(forget=True))
            of_bare = 0.0 if missing else per_step_ms(of_mini(model, mini, save=False))
            of_saving = 0.0 if missing else per_step_ms(of_mini(model, mini, save=True))
            if number:  # the first round warms everybody up
                ours.append(of_ours)
                inside.append(_sandboxed_ms(run))
                bare.append(of_bare)
                saving.append(of_saving)
    if missing:
        yield Finding("Mission Control", "ms/step", ours)
        yield Finding("mini-swe-agent", "ms/step", [], skipped=missing)
        return
    reached = Finding("mini-swe-agent, no trajectory file", "ms/step", bare, None, "for comparison")
    target = Target("at most", reached.median, f"at most mini-swe-agent ({reached.median:.1f})")
    yield Finding("Mission Control", "ms/step", ours, target, f"{steps} steps, {rounds} runs")
    yield Finding("of that, the sandboxed command", "ms/step", inside)
    yield reached
    yield Finding("mini-swe-agent, with it", "ms/step", saving, None, "for comparison: as its command line runs")


def _of_mission_control(agent: Agent, number: int) -> Run:
    run = office.start(agent, number, stream="issue:1")
    office.until(lambda: office.is_over(run), 120)
    return run


def _sandboxed_ms(run: Run) -> float:
    """Return the mean time of a command of ``run``, from the call of the tool to its result."""
    results = run.messages.filter(tool_name="run")
    return float(results.aggregate(mean=Avg("duration_ms"))["mean"])


def of_mini(model: office.Model, python: Path, *, save: bool) -> list[Record]:
    """Let mini-swe-agent carry out the commands of ``model``; return what the server noted."""
    with tempfile.TemporaryDirectory(prefix="mcc-bench-mini-") as home:
        (Path(home) / "workspace").mkdir()
        command = [
            str(python),
            str(Path(installing.__file__).parent / "mini.py"),
            f"{model.url}/mini/v1",
            f"{home}/workspace",
        ]
        own = {"PATH": os.environ["PATH"], "HOME": home, "MSWEA_GLOBAL_CONFIG_DIR": home, "MSWEA_SILENT_STARTUP": "1"}
        offline = {"MSWEA_CONFIGURED": "true", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        trajectory = [f"{home}/trajectory.json"] if save else []
        subprocess.run([*command, *trajectory], env=own | offline, check=True, capture_output=True, timeout=300)
    time.sleep(0.05)
    return model.records(forget=True)


def per_step_ms(records: list[Record]) -> float:
    """Return the mean of what passed between an answer and the next question."""
    return sum(gaps_ms(records)) / (len(records) - 1)


def gaps_ms(records: list[Record]) -> list[float]:
    """Return the milliseconds between each answer and the next question of one run."""
    ordered = sorted(records, key=lambda record: record.turn)
    return [(after.arrived - before.done) / 1e6 for before, after in pairwise(ordered)]
