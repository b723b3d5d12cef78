"""Starts a process for each subject and database, with nothing of the environment that could change the result."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import postgres
from bench.finding import Database, Finding, Scale, Skipped, Target

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = {Scale.QUICK: 300, Scale.USUAL: 1_800, Scale.FULL: 6 * 3_600}
FOREIGN = ("MCC_", "DATABASE_", "REDIS_", "OPENROUTER_", "SECRET_KEY", "DEBUG", "DJANGO_")


def run(subject: str, database: Database, scale: Scale) -> list[Finding]:
    """Measure and return what was found; of a measurement that broke, its last words."""
    try:
        with home() as directory, _address(database, directory) as url:
            found = _measure(subject, scale, directory, url)
    except Skipped as reason:
        found = [Finding(what=subject, unit="", values=[], skipped=str(reason))]
    return [_labelled(finding, subject, database) for finding in found]


@contextmanager
def home() -> Iterator[Path]:
    """Give a new data directory; the sandbox's user may walk through it."""
    with tempfile.TemporaryDirectory(prefix="mcc-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@contextmanager
def _address(database: Database, directory: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{directory / 'mcc.sqlite3'}"
    else:
        with postgres.server() as url:
            yield url


def _measure(subject: str, scale: Scale, directory: Path, url: str) -> list[Finding]:
    output = directory / "found.json"
    command = [sys.executable, "-m", "bench.child", subject, scale, str(output)]
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment = own | {
        "MCC_DATA_DIR": str(directory),
        "MCC_IGNORE_DOTENV": "true",
        "MCC_LOG_LEVEL": "ERROR",
        "MCC_ROLE": "worker",
        "DATABASE_URL": url,
    }
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=LIMIT_S[scale], stderr=subprocess.PIPE, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return [Finding(what=subject, unit="", values=[], broken=f"not done within {LIMIT_S[scale]} s")]
    if done.returncode:
        sys.stderr.write(done.stderr)
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [Finding(what=subject, unit="", values=[], broken=last[:120])]
    return [_read(line) for line in json.loads(output.read_text())]


def _read(line: dict[str, object]) -> Finding:
    target = line.pop("target")
    return Finding(**line, target=Target(**target) if isinstance(target, dict) else None)  # type: ignore[arg-type]


def _labelled(finding: Finding, subject: str, database: Database) -> Finding:
    return Finding(**(vars(finding) | {"subject": subject, "database": database}))
