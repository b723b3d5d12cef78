"""The findings as a table for people and as JSON for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.finding import Finding, Verdict, plain

HEAD = ("what", "target", "median", "spread", "verdict")


def table(findings: Sequence[Finding]) -> str:
    """Return a Markdown table that is also pleasant to read as text."""
    rows = [HEAD, *(_row(finding) for finding in findings)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    where = f"{finding.subject} ({finding.database}): {finding.what}"
    target = str(finding.target or "")
    if finding.verdict in (Verdict.SKIPPED, Verdict.BROKEN):
        return where, target, "", "", f"{finding.verdict}: {finding.skipped or finding.broken}"
    spread = f"{plain(min(finding.values))} to {plain(max(finding.values))}" if len(finding.values) > 1 else ""
    verdict = " ".join(filter(None, [finding.verdict.value, f"({finding.note})" if finding.note else ""]))
    return where, target, f"{plain(finding.median)} {finding.unit}".strip(), spread, verdict


def write(findings: Sequence[Finding], path: Path, scale: str) -> None:
    """Write everything that was found, with what must be known to compare it with another run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [asdict(finding) | {"verdict": finding.verdict.value} for finding in findings]
    path.write_text(json.dumps({"machine": machine(), "scale": scale, "findings": lines}, indent=1) + "\n")


def machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
