"""Puts a peer into a venv of its own under ``var/bench/peers``. No peer is ever a dependency of the product."""

import subprocess
import sys
from pathlib import Path

from bench.finding import Skipped

ROOT = Path(__file__).resolve().parent.parent.parent / "var" / "bench" / "peers"
MINI = "mini-swe-agent==2.4.6"


def python_of(requirement: str) -> Path:
    """Return the interpreter that has ``requirement``, installed if it is missing. Raises Skipped when it cannot be."""
    home = ROOT / requirement.replace("==", "-")
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "-q", "install", requirement],
        ):
            tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            if tried.returncode:
                raise Skipped(f"{requirement} cannot be installed: {tried.stderr.strip().splitlines()[-1:]}")
        done.touch()
    return python
