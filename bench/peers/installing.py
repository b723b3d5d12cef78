"""Puts a peer into a venv of its own under ``var/bench/peers``. No peer is ever a dependency of the product."""

import re
import subprocess
import sys
from pathlib import Path

from bench.finding import Skipped

ROOT = Path(__file__).resolve().parent.parent.parent / "var" / "bench" / "peers"
MINI = "mini-swe-agent==2.4.6"
LITELLM = "litellm[proxy]==1.105.0"
ON_REQUEST = {"litellm": LITELLM}
"""What is too big to be installed unasked (740 MB, minutes): ``python -m bench --install NAME``."""


def python_of(requirement: str) -> Path:
    """Return the interpreter that has ``requirement``, installed if it is missing. Raises Skipped when it cannot be."""
    home = _home(requirement)
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "-q", "install", requirement],
        ):
            tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1_200)
            if tried.returncode:
                raise Skipped(f"{requirement} cannot be installed: {tried.stderr.strip().splitlines()[-1:]}")
        done.touch()
    return python


def installed(requirement: str) -> Path:
    """Return the interpreter that has ``requirement``. Raises Skipped, and says how to install it, when it is not."""
    home = _home(requirement)
    if not (home / "installed").exists():
        name = next(name for name, wanted in ON_REQUEST.items() if wanted == requirement)
        raise Skipped(f"not installed: python -m bench --install {name}")
    return home / "bin" / "python"


def _home(requirement: str) -> Path:
    return ROOT / re.sub(r"[^\w.]+", "-", requirement)
