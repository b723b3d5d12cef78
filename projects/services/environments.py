"""What a project's commands find and may use: its settings, made sure of when they are written and when they are read.

The operator's bounds may change after a project was set, so they count again each time.
"""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from django.conf import settings

from agents.sandbox import choice, images, toolchains
from agents.sandbox.egress import check_host
from agents.sandbox.errors import SandboxError
from agents.sandbox.types import MAX_WALL_S, MIB, Egress, Limits
from mcc.core import redaction
from mcc.core.errors import InvalidInput
from projects.git import Equipment
from projects.models import Project

MOST_HOSTS = 50
MOST_VARIABLES = 50
MOST_FILES = 50
LONGEST = 4_000
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
OUR_OWN = re.compile(
    r"(?i:PATH|HOME|USER|TMPDIR|MCC_.*|GIT_CONFIG.*|GIT_DIR|GIT_WORK_TREE|.*_PROXY|NODE_USE_ENV_PROXY)"
)
PATTERN = re.compile(r"[^\x00-\x1f\\]{1,200}")
LEAST = {"wall_s": 10, "memory_mib": 128, "cpus": 1, "processes": 16, "disk_mib": 64}
USUAL = Limits(wall_s=MAX_WALL_S)


def bounds() -> dict[str, int]:
    """Return the most that a project may allow to one command, by the names of ``Project.limits``."""
    return {
        "wall_s": min(settings.MCC_SANDBOX_MAX_WALL_S, int(MAX_WALL_S)),
        "memory_mib": settings.MCC_SANDBOX_MAX_MEMORY_MIB,
        "cpus": settings.MCC_SANDBOX_MAX_CPUS,
        "processes": settings.MCC_SANDBOX_MAX_PROCESSES,
        "disk_mib": settings.MCC_SANDBOX_MAX_DISK_MIB,
    }


def usual() -> dict[str, int]:
    """Return what counts where a project says nothing."""
    ours = {
        "wall_s": int(USUAL.wall_s),
        "memory_mib": USUAL.memory // MIB,
        "cpus": USUAL.cpus,
        "processes": USUAL.processes,
        "disk_mib": USUAL.workspace // MIB,
    }
    most = bounds()
    return {name: min(value, most[name]) for name, value in ours.items()}


def limits(project: Project) -> Limits:
    """Return what one command of ``project`` may use; ``wall_s`` is the most that it may ask for."""
    most = bounds()
    chosen = {name: min(int(project.limits.get(name, value)), most[name]) for name, value in usual().items()}
    return Limits(
        wall_s=chosen["wall_s"],
        memory=chosen["memory_mib"] * MIB,
        cpus=chosen["cpus"],
        processes=chosen["processes"],
        workspace=chosen["disk_mib"] * MIB,
    )


def for_commands(project: Project, layer: Path | None) -> Equipment:
    """Return what commands of agents and checks get."""
    return _equipment(project, project.command_hosts, layer)


def for_setup(project: Project) -> Equipment:
    """Return what the set-up gets: the same, but the hosts that it alone may reach, and nothing that it made before."""
    return _equipment(project, project.setup_hosts, None)


def _equipment(project: Project, hosts: list[str], layer: Path | None) -> Equipment:
    return Equipment(
        env=project.variables,
        limits=limits(project),
        egress=Egress(tuple(hosts)) if hosts else None,
        toolchains=tuple(map(Path, project.toolchains)),
        image=project.image,
        layer=layer,
    )


def make_valid(project: Project, changed: Collection[str]) -> None:
    """Bring the settings of ``project`` that were ``changed`` into their one form.

    The others stay: what the operator withdrew since must not hinder a change of something else. Raises InvalidInput
    with the fields that are wrong.
    """
    rules: Mapping[str, Callable[[object], object]] = {
        "setup_command": _command,
        "setup_files": _files,
        "setup_hosts": _hosts,
        "command_hosts": _hosts,
        "variables": _variables,
        "toolchains": _toolchains,
        "image": _image,
        "limits": _limits,
    }
    wrong: dict[str, list[str]] = {}
    for field, rule in ((field, rule) for field, rule in rules.items() if field in changed):
        try:
            setattr(project, field, rule(getattr(project, field)))
        except ValueError as error:
            wrong[field] = [str(error)]
    if wrong:
        raise InvalidInput("The project's commands cannot run like this.", fields=wrong)


def try_out(project: Project, changed: Collection[str]) -> None:
    """Make sure of what only the machine can tell: that commands start in the image. Seconds, no transaction.

    Raises InvalidInput with the fields that are wrong.
    """
    for field in ("image", "toolchains"):
        if field in changed and (problem := _trial(field, project)):
            raise InvalidInput(problem, fields={field: [problem]})


def _trial(field: str, project: Project) -> str:
    try:
        if field == "image" and project.image:
            choice().check_image(project.image)
        if field == "toolchains" and project.toolchains and choice().name == "docker":
            return "Commands run in containers here: their tools come with the image."
    except (SandboxError, InvalidInput) as error:
        return str(error)
    return ""


def _command(value: object) -> str:
    text = str(value or "").replace("\r\n", "\n").strip()
    if len(text) > LONGEST or "\0" in text:
        raise ValueError(f"At most {LONGEST} characters, without NUL. Put the rest into a file of the repository.")
    _refuse_secrets(text)
    return text


def _refuse_secrets(text: str) -> None:
    if redaction.redact(text) != text:
        raise ValueError("This looks like a secret. Whatever stands here, agents can read; use what needs none.")


def _strings(value: object, most: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"A list of at most {most} lines.")
    return [entry.strip() for entry in value if entry.strip()]


def _hosts(value: object) -> list[str]:
    return list(dict.fromkeys(check_host(entry) for entry in _strings(value, MOST_HOSTS)))


def _files(value: object) -> list[str]:
    patterns = _strings(value, MOST_FILES)
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern[:80]!r} is no pattern of files, as in requirements*.txt or web/package.json.")
    return patterns


def _variables(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_VARIABLES:
        raise ValueError(f"At most {MOST_VARIABLES} variables, each a name and a value.")
    for name, text in value.items():
        _check_variable(name, text)
    return dict(value)


def _check_variable(name: object, text: object) -> None:
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        raise ValueError(f"{str(name)[:80]!r} is no name of a variable.")
    if not isinstance(text, str) or len(text) > LONGEST or re.search(r"[\x00-\x08\x0a-\x1f]", text):
        raise ValueError(f"The value of {name} must be one line of at most {LONGEST} characters.")
    if OUR_OWN.fullmatch(name):
        raise ValueError(f"{name} is set by Mission Control itself.")
    if redaction.names_secret(name):
        raise ValueError(f"{name} is named like a secret. Whatever stands here, agents can read: no secrets.")
    _refuse_secrets(text)


def _toolchains(value: object) -> list[str]:
    paths = list(dict.fromkeys(path.rstrip("/") for path in _strings(value, MOST_FILES)))
    problems = {path: toolchains.refusal(Path(path)) for path in paths}
    if any(problems.values()):
        raise ValueError(" ".join(f"{path[:200]} {problem}." for path, problem in problems.items() if problem))
    return paths


def _image(value: object) -> str:
    name = str(value or "").strip()
    if name and (problem := images.refusal(name)):
        raise ValueError(f"{name[:200]} {problem}.")
    return name


def _limits(value: object) -> dict[str, int]:
    if not isinstance(value, dict) or not set(value) <= set(LEAST):
        raise ValueError(f"Only {', '.join(LEAST)} can be limited.")
    chosen = {name: number for name, number in value.items() if number is not None}
    for name, number in chosen.items():
        if not isinstance(number, int) or isinstance(number, bool) or not LEAST[name] <= number <= bounds()[name]:
            raise ValueError(f"{name} is a number from {LEAST[name]} to {bounds()[name]}, the operator's bound.")
    return chosen
