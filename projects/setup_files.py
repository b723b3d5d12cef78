"""Which files of a commit decide what the set-up of a project makes: it is made anew only when one of them changes."""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import translate

from agents.sandbox.types import WORKSPACE
from projects.forge import ForgeError
from projects.git import Mirror
from projects.git.repository import Blob
from projects.models import Project

USUAL = (
    *("*requirements*.txt", "*requirements*.in", "*requirements/*.txt", "*requirements/*.in", "*constraints*.txt"),
    *("pyproject.toml", "setup.py"),
    *("setup.cfg", "Pipfile", "environment*.yml", "environment*.yaml", ".python-version", "pylock.*toml"),
    *("package.json", "npm-shrinkwrap.json", "pnpm-workspace.yaml", ".npmrc", ".yarnrc*", ".nvmrc", ".node-version"),
    *("Cargo.toml", "rust-toolchain*", "go.mod", "go.sum", "go.work", "go.work.sum", "Gemfile", "*.gemspec"),
    *("composer.json", "mix.exs", "pubspec.yaml", "Package.swift", "Package.resolved", "*.csproj", "*.fsproj"),
    *("Directory.Packages.props", "pom.xml", "*.gradle", "*.gradle.kts", "*.versions.toml", "gradle.properties"),
    *("gradle-wrapper.properties", "*.lock", "*.lockb", "*.lockfile", "*lock.json", "*-lock.yaml", "*-lock.yml"),
)
"""By name, or by path where a pattern has a slash. Rather one too many: that costs a set-up, one too few a task."""
ENTERED = re.compile(r"(?:^|[^\w./-])(?:cd|pushd)\s+(?:--\s+)?[\"']?([^\s\"';&|()]+)")


def deciding(project: Project, mirror: Mirror, sha: str) -> Iterator[Blob]:
    """Yield those at commit ``sha``: of the patterns of ``project``, or the usual ones, and those that its command
    names. One git process; raises ForgeError.
    """
    patterns, command = project.setup_files or USUAL, project.setup_command
    directories = _directories(command)
    # One expression for all: a repository may have a hundred thousand files, and forty patterns are usual.
    by_name = _any_of(pattern for pattern in patterns if "/" not in pattern)
    by_path = _any_of(pattern for pattern in patterns if "/" in pattern)
    for blob in mirror.blobs(sha):
        name = blob.path.rpartition("/")[2]
        if by_name.match(name) or by_path.match(blob.path) or _names(command, directories, blob.path):
            yield blob


def warning(project: Project) -> str:
    """Return what is to be said when nothing in the newest commit that is known here decides; else empty. Up to three
    git processes where there is a set-up.
    """
    mirror = Mirror(project.pk)
    if not project.setup_command or not mirror.path.exists():
        return ""
    try:
        sha = mirror.head(project.default_branch)
        if next(deciding(project, mirror, sha), None):
            return ""
    except ForgeError:
        return ""
    missing = "None of these lock files is" if project.setup_files else "No usual lock file or manifest is"
    return (
        f"{missing} in the newest commit ({sha[:7]}), nor any file that the command names: what it made once is never "
        "made anew. Name those below that say what is to be installed."
    )


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return what matches whatever one of ``patterns`` matches, nothing when there are none."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


def _directories(command: str) -> set[str]:
    """Return where ``command`` may be when it names a file: at the top, where a ``cd`` leads from there, or from where
    those before it led. All as seen from the top, where it begins.
    """
    here = WORKSPACE
    found = {here}
    for entered in ENTERED.findall(command):
        here = posixpath.normpath(posixpath.join(here, entered))
        found |= {here, posixpath.normpath(posixpath.join(WORKSPACE, entered))}
    return {posixpath.relpath(each, WORKSPACE) for each in found if f"{each}/".startswith(f"{WORKSPACE}/")}


def _names(command: str, directories: Collection[str], path: str) -> bool:
    """Whether ``command`` says ``path`` whole or as one of ``directories`` calls it: what it runs or reads counts."""
    if path.rpartition("/")[2] not in command:
        return False
    names = (posixpath.relpath(path, directory) for directory in directories)
    return _says(command, f"{WORKSPACE}/{path}") or any(_says(command, name) for name in names)


def _says(command: str, path: str) -> bool:
    whole = rf"(?:^|[^\w./-]|(?<![\w.])\./){re.escape(path)}(?![\w/-]|\.\w)"
    return path in command and re.search(whole, command) is not None
