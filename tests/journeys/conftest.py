import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.company import Company

PACKAGE, VERSION = "cachetools", "3.1.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mission-control-tests"


@pytest.fixture(scope="session")
def package_source() -> Path:
    """The source release of a package that nobody here wrote, with a known bug; fetched once."""
    archive = CACHE / f"{PACKAGE}-{VERSION}.tar.gz"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                ":all:",
                f"{PACKAGE}=={VERSION}",
                "-d",
                str(CACHE),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            pytest.skip(f"{PACKAGE} {VERSION} cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
    return archive


@pytest.fixture
def package_repository(package_source: Path, tmp_path: Path) -> Path:
    """The package as a bare git repository with one commit on ``main``."""
    with tarfile.open(package_source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    tree = tmp_path / "source" / f"{PACKAGE}-{VERSION}"
    git = [
        "git",
        "-c",
        "user.name=Upstream",
        "-c",
        "user.email=upstream@example.org",
        "-c",
        "init.defaultBranch=main",
    ]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    bare = tmp_path / "upstream.git"
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", f"{PACKAGE} {VERSION}"]):
        subprocess.run([*git, *command], cwd=tree, check=True, env=environment)
    subprocess.run([*git, "clone", "-q", "--bare", str(tree), str(bare)], check=True, env=environment)
    return bare


@pytest.fixture
def company() -> Iterator[Company]:
    """A company that is started by the test and gone after it.

    Not in pytest's directory: that is closed again to the sandbox's user by whoever starts pytest next.
    """
    home = Path(tempfile.mkdtemp(prefix="mcc-company-"))
    home.chmod(0o711)
    company = Company(home)
    try:
        yield company
        company.kill()
        assert company.strangers() == [], "a process outlived its company"
    finally:
        company.kill()
        shutil.rmtree(home)
