"""The bench measures at all: its smallest part runs, and its arithmetic is right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report
from bench.finding import Finding, Skipped, Target, Verdict, percentile
from bench.peers import installing

ROOT = Path(__file__).resolve().parent.parent


def test_a_part_runs_by_itself_and_leaves_its_findings(tmp_path):
    path = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench", "--quick", "--database", "sqlite", "--json", str(path), "bill"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert lines[2][:3] == ["bill (sqlite): difference from the provider's bill", "equal to 0", "0 nano-dollars"]
    found = json.loads(path.read_text())
    assert (found["scale"], {line["verdict"] for line in found["findings"]}) == ("quick", {"met", ""})


def test_what_cut_streams_cost_is_measured_without_a_rival(tmp_path):
    path = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench", "--quick", "--database", "sqlite", "--json", str(path), "cut"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(path.read_text())["findings"]
    judged = {line["what"]: line["values"] for line in found if line["verdict"] == "met"}
    assert judged == {"charged other than billed, gateway": [0.0]}


def test_what_is_big_is_installed_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(installing, "ROOT", tmp_path)

    with pytest.raises(Skipped, match=r"^not installed: python -m bench --install litellm$"):
        installing.installed(installing.LITELLM)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(share, value):
    assert percentile(range(1, 101), share) == value


def test_the_median_of_the_repetitions_is_judged():
    late = Finding("stop", "s", [0.2, 0.4, 9.0], Target("at most", 1))
    assert (late.median, late.verdict) == (0.4, Verdict.MET)
    assert Finding("stop", "s", [2.0], Target("at most", 1)).verdict is Verdict.MISSED
    assert Finding("stop", "s", [], Target("at most", 1), skipped="no server").verdict is Verdict.SKIPPED


def test_the_table_says_what_was_skipped_and_why():
    findings = [
        Finding("p95", "ms", [100.0, 250.4], Target("at most", 250), subject="crowd", database="sqlite"),
        Finding("stop", "", [], skipped="PostgreSQL is not installed", subject="stop", database="postgresql"),
    ]

    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in report.table(findings).splitlines()]

    assert lines[2] == ["crowd (sqlite): p95", "at most 250", "175 ms", "100 to 250", "met"]
    assert lines[3][-1] == "skipped: PostgreSQL is not installed"
