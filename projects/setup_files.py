"""Which files of a commit decide what the set-up of a project makes: it is made anew only when one of them changes."""

import posixpath
import re
from collections.abc import Collection
from fnmatch import fnmatchcase

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


def deciding(project: Project, mirror: Mirror, sha: str) -> list[Blob]:
    """Return those at commit ``sha``: of the patterns of ``project``, or the usual ones, and those that its command
    names. One git process; raises ForgeError.
    """
    patterns, command = project.setup_files or USUAL, project.setup_command
    directories = _directories(command)
    return [
        blob for blob in mirror.blobs(sha) if _matches(blob.path, patterns) or _names(command, directories, blob.path)
    ]


def warning(project: Project) -> str:
    """Return what is to be said when nothing in the newest commit that is known here decides; else empty. Up to three
    git processes where there is a set-up.
    """
    mirror = Mirror(project.pk)
    if not project.setup_command or not mirror.path.exists():
        return ""
    try:
        sha = mirror.head(project.default_branch)
        if deciding(project, mirror, sha):
            return ""
    except ForgeError:
        return ""
    missing = "None of these lock files is" if project.setup_files else "No usual lock file or manifest is"
    return (
        f"{missing} in the newest commit ({sha[:7]}), nor any file that the command names: what it made once is never "
        "made anew. Name those below that say what is to be installed."
    )


def _matches(path: str, patterns: Collection[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)


def _directories(command: str) -> set[str]:
    """Return where ``command`` may be when it names a file: at the top, where a ``cd`` leads from there, or from where
    those before it led.
    """
    found, here = {"."}, "."
    for entered in ENTERED.findall(command):
        here = posixpath.normpath(posixpath.join(here, entered))
        found |= {here, posixpath.normpath(entered)}
    return {directory for directory in found if not directory.startswith(("/", ".."))}


def _names(command: str, directories: Collection[str], path: str) -> bool:
    """Whether ``command`` says ``path`` as one of ``directories`` calls it: what it runs or reads decides, too."""
    if path.rpartition("/")[2] not in command:
        return False
    return any(_says(command, posixpath.relpath(path, directory)) for directory in directories)


def _says(command: str, path: str) -> bool:
    whole = rf"(?:^|[^\w./-]|(?<![\w.])\./){re.escape(path)}(?![\w/-]|\.\w)"
    return path in command and re.search(whole, command) is not None
