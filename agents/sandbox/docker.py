"""Sandboxes made by Docker: one container for each workspace, every command of it started inside.

Whoever may talk to the daemon is root on its machine, so this is for operators who chose it (MCC_SANDBOX=docker).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Final

from django.conf import settings

from agents.sandbox import images, owners, places, seccomp
from agents.sandbox.container import Container, Report
from agents.sandbox.docker_profile import Bind, Plan
from agents.sandbox.engine import About, Conversation, Engine, Image
from agents.sandbox.errors import SandboxGone, SandboxStartError, SandboxUnavailable
from agents.sandbox.exec_pump import ExecPump, Spoken
from agents.sandbox.types import WORKSPACE, Ending, Limits, Probe, Result, SandboxSpec
from agents.sandbox.watchdogs import host_is_short, used_up
from agents.sandbox.workspace import TERMS, Command, WorkspaceBackend, WorkspaceSandbox, mounts_of
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)

LABEL: Final = "dev.mcc.sandbox"
ARGUMENT_MAX = 128 * 1024
"""The kernel takes no longer one."""
FIRST_WORDS = "echo made > /workspace/made && command -v bash find git grep >/dev/null && stat -c %u /workspace/made"
NEEDS: Final = "bash, coreutils, findutils, grep and git"
OWN_TERMS: Final = ("memory, processes and processor time are limited by cgroup",)
UNKEPT = {
    "memory limit": "memory",
    "swap limit": "swap",
    "cpu cfs": "processor time",
    "pids limit": "processes",
}
"""Words in the daemon's warnings, and what it does not limit then."""


class DockerSandbox(WorkspaceSandbox):
    """One workspace in one container."""

    def __init__(self, spec: SandboxSpec, container: Container) -> None:
        super().__init__(spec)
        self._container = container

    def _run(self, command: Command) -> Result:
        argv, env, limits = command.argv, command.env, command.limits
        _check(argv, env)
        if not self.spec.workspace.is_dir():
            raise SandboxGone(f"The workspace {self.spec.workspace_id} is gone.")
        watches = [lambda _: host_is_short(limits), lambda _: self._disk.look(limits)]
        pump = ExecPump(limits, watches, command.on_output, command.cancel, kill=self._container.kill)

        def talk() -> Conversation:
            return self._container.talk(argv, command.start, env, limits, has_input=bool(command.stdin))

        with self._under_way(pump):
            spoken = pump.run(talk, command.stdin)
        return self._judged(spoken)

    def _judged(self, spoken: Spoken) -> Result:
        """Return how the command ended, and leave nothing of it."""
        if spoken.result.outcome is not Ending.EXITED:
            return spoken.result  # the pump has killed all there was
        report = Report.read(spoken.report)
        if report is None:
            return self._without_report(spoken)
        if report.kills:
            # What the temporary directories held may be what was too much.
            self._container.kill()
            outcome = Ending.MEMORY_LIMIT if report.exit_code else Ending.EXITED
            code = None if report.exit_code else 0
            detail, peak = used_up(report.kills), report.peak_memory
            return replace(spoken.result, outcome=outcome, exit_code=code, detail=detail, peak_memory=peak)
        if not self._container.is_swept():
            self._container.kill()
        return replace(spoken.result, exit_code=report.exit_code, peak_memory=report.peak_memory)

    def _without_report(self, spoken: Spoken) -> Result:
        """The shell around the command never began, or was killed. Raises SandboxStartError for the first."""
        if not spoken.report:
            self._container.kill()
            raise SandboxStartError(spoken.result.text.strip() or "the command was never started")
        self._container.kill()
        return replace(spoken.result, outcome=Ending.LOST, detail="its supervisor was killed")

    def _end(self) -> None:
        self._container.remove()


def _check(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse what the kernel, or JSON on its way there, would not take."""
    words = [*argv, *env, *env.values()]
    try:
        sizes = [len(word.encode()) for word in words]
    except UnicodeEncodeError as error:
        raise InvalidInput("Half a character is not possible in a command.") from error
    if any("\0" in word for word in words):
        raise InvalidInput("A NUL byte is not possible in a command.")
    if max(sizes, default=0) >= ARGUMENT_MAX or sum(sizes) >= 8 * ARGUMENT_MAX:
        raise InvalidInput("The command is too long: put it into a file, then run that.")


class DockerBackend(WorkspaceBackend):
    """Makes sandboxes with the daemon that DOCKER_HOST names, from the image that MCC_SANDBOX_IMAGE names."""

    name = "docker"

    def __init__(self, engine: Engine | None = None) -> None:
        super().__init__()
        self._engine = engine or Engine()
        self._about: About | None = None
        self._trying = Lock()

    def _try(self) -> Probe:
        try:
            about, image = self._look()
            self._try_out(image)
        except SandboxUnavailable as error:
            return Probe(False, error.detail, error.hint, self._about.version if self._about else "")
        return Probe(True, version=about.version, features=frozenset(about.security), terms=(*OWN_TERMS, *TERMS))

    def _look(self) -> tuple[About, Image]:
        """Ask the daemon and look for the image. Raises SandboxUnavailable with what has to be done."""
        if not seccomp.is_supported():
            raise SandboxUnavailable("There is no seccomp filter for this processor.", hint="Use x86_64 or aarch64.")
        places.sandbox_uid()
        try:
            self._about = about = self._engine.about()
            image = self._image(settings.MCC_SANDBOX_IMAGE)
        except SandboxStartError as error:
            raise SandboxUnavailable(
                error.detail,
                hint=f"Start Docker, and let the user that runs MCC use {self._engine.address} (or set DOCKER_HOST).",
            ) from error
        if unkept := self.unkept():
            raise SandboxUnavailable(
                f"This Docker does not limit {', '.join(unkept)}.",
                hint="Boot the machine with these cgroup controllers (`docker info` shows warnings), or use bwrap.",
            )
        return about, image

    def _image(self, name: str) -> Image:
        """Return the image of this name. Raises SandboxUnavailable, SandboxStartError."""
        if name and (image := self._engine.image(name)) is not None:
            return image
        if not name:
            hint = f"Set it to an image with {NEEDS}, and `docker pull` it."
            raise SandboxUnavailable("MCC_SANDBOX_IMAGE is empty.", hint=hint)
        hint = f"`docker pull {name}` on the daemon's machine: it is never pulled by itself."
        raise SandboxUnavailable(f"There is no image {name}.", hint=hint)

    def unkept(self) -> list[str]:
        """Return which limits the daemon says it cannot keep."""
        warnings = " ".join(self._about.warnings if self._about else ()).lower()
        return [what for words, what in UNKEPT.items() if f"no {words}" in warnings]

    def _try_out(self, image: Image) -> None:
        """Run something in the image that leaves a file. Raises SandboxUnavailable with what has to be done."""
        workspace = places.make_workspace(f"probe-{owners.me()}")
        try:
            spec = SandboxSpec(workspace.name, workspace, limits=Limits(wall_s=20))
            with self._make(spec, image) as sandbox:
                result = sandbox.run(["/bin/sh", "-c", FIRST_WORDS])
            shared = (workspace / "made").exists()
            owner = (workspace / "made").lstat().st_uid if shared else None
        except (SandboxStartError, SandboxGone) as error:
            raise SandboxUnavailable(error.detail, hint=_hint(error.detail)) from error
        finally:
            places.delete_workspace(workspace.name)
        if not result.ok:
            raise SandboxUnavailable(
                f"A trial command ended badly: {result.text.strip() or result.outcome}", hint=_hint(result.text)
            )
        if not shared:
            raise SandboxUnavailable(
                "Commands write to another directory than MCC reads: the daemon does not see MCC's paths.", hint=SHARE
            )
        if owner != workspace_uid():
            raise SandboxUnavailable(
                f"Files of commands belong to uid {owner}, not to {workspace_uid()}.",
                hint="A rootless daemon, and one with userns-remap, cannot be used: use bwrap, or another daemon.",
            )

    def create(self, spec: SandboxSpec) -> DockerSandbox:
        self._require()
        return self._make(spec, self._image_of(spec.image))

    def _image_of(self, name: str) -> Image:
        """Return what a project's commands run in, "" standing for everybody's. Raises SandboxUnavailable."""
        if name and (problem := images.refusal(name)):
            raise SandboxUnavailable(f"The image {name} {problem}.", hint="Choose another in the project's settings.")
        return self._image(name or settings.MCC_SANDBOX_IMAGE)

    def check_image(self, name: str) -> None:
        try:
            self._engine.about()
        except SandboxStartError as error:
            # The web process is better kept from the daemon. The workers look at the image each time.
            logger.warning("the image %s was not tried out: %s", name, error.detail)
            return
        with self._trying:
            try:
                self._require()
                self._try_out(self._image_of(name))
            except SandboxUnavailable as error:
                raise InvalidInput(str(error)) from error

    def foundation(self, image: str, toolchains: Sequence[Path]) -> list[str]:
        """The image as it is now: a name may come to stand for another."""
        return [self.name, self._image_of(image).key]

    def _make(self, spec: SandboxSpec, image: Image) -> DockerSandbox:
        instance = owners.instance()
        binds = [Bind(seen_by_daemon(spec.workspace), WORKSPACE, read_only=False)]
        binds += [Bind(seen_by_daemon(mount.source), mount.target, mount.read_only) for mount in mounts_of(spec)]
        plan = Plan(
            image=image.key,
            uid=workspace_uid(),
            binds=tuple(binds),
            env=spec.env,
            limits=spec.limits,
            labels={
                LABEL: "1",
                f"{LABEL}.instance": instance,
                f"{LABEL}.owner": owners.me(),
                f"{LABEL}.workspace": spec.workspace_id,
            },
            masked=image.volumes,
            cgroup_version=self._about.cgroup_version if self._about else "2",
        )
        return DockerSandbox(spec, Container(self._engine, f"mcc-{instance}-{spec.workspace_id}", plan))

    def reap(self) -> list[str]:
        """Remove the containers of processes of this installation that are dead; return their names."""
        removed = []
        for container in self._engine.containers({LABEL: "1", f"{LABEL}.instance": owners.instance()}):
            if owners.is_dead(container.labels.get(f"{LABEL}.owner", "")):
                self._engine.remove(container.key)
                removed.append(container.name)
        return removed


SHARE = (
    "Set MCC_WORKSPACES_HOST_PATH to the path that the directory of workspaces has on the daemon's machine, "
    "and MCC_WORKSPACES_DIR to a directory that is shared with it."
)


def _hint(complaint: str) -> str:
    if "bind source path does not exist" in complaint or "not shared from" in complaint:
        return SHARE
    return f"The image needs {NEEDS}. See the daemon's log for the rest."


def workspace_uid() -> int:
    """Return the uid that owns the workspaces and runs their commands."""
    return places.workspaces_root().stat().st_uid


def seen_by_daemon(path: Path) -> str:
    """Return where ``path`` is on the daemon's machine, when MCC itself runs in a container."""
    if not settings.MCC_WORKSPACES_HOST_PATH:
        return str(path)
    root = places.workspaces_root()
    if not path.is_relative_to(root):
        raise SandboxUnavailable(f"{path} is not shared with Docker's machine: it is outside of {root}.", hint=SHARE)
    return str(Path(settings.MCC_WORKSPACES_HOST_PATH) / path.relative_to(root))
