"""What a project needs installed: made once for each state of its lock files, then shown read-only to every workspace.

    needed ──> queued ── errand ──> running ── exit 0 ──> sealed: ready ── unused for two weeks ──> deleted
                 ^                     '────── else ────> failed, its log kept
                 '── "Run again", or needed again a minute later ──'

The command runs in a workspace of its own, with the network that the project allows to it alone. What it adds to the
check-out stays where it is, and every later workspace has a link to it in the same place.
"""

import hashlib
import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from agents.errors import NotReady
from agents.sandbox import choice, places
from agents.sandbox.errors import SandboxError, SandboxUnavailable
from agents.sandbox.types import Ending, Result
from mcc.core import audit, errands, redaction
from mcc.core.errands import Lease
from mcc.core.models import User
from projects import logs, setup_files
from projects.git import Equipment, Mirror, Workspace, WorkspaceBroken
from projects.models import Project, Setup
from projects.services import environments
from projects.services.rights import require_decider

logger = logging.getLogger(__name__)

ERRAND = "projects.set_up"
TIDY_ERRAND = "projects.tidy_setup"
BRANCH = "setup"
FORMAT = 2
"""Part of every key: raised when what is made of the same files becomes another."""
WAIT_S = 2.0
OVER = (Setup.Status.READY, Setup.Status.FAILED)
OUTDATED = "settings changed"
"""How one ends that was asked for under settings that are not the project's any more: made by today's it would lie."""
RETRY_AFTER = timedelta(minutes=1)
KEEP = timedelta(days=14)
TOUCH = timedelta(hours=1)


def equipment(mirror: Mirror, sha: str) -> Equipment:
    """Return what commands on commit ``sha`` get. Two git processes when the project has a set-up, else none.

    Raises NotReady while the set-up is being made (it is ordered by the first who needs it), SandboxUnavailable with
    what people have to know when it failed.
    """
    project = Project.objects.get(pk=mirror.project_id)
    layer = None
    if project.setup_command:
        setup = _needed(project, mirror, sha)
        layer = _layer(setup)
        if layer is None:
            _order(setup)
            raise NotReady(f"The set-up of {project.name} is being made.", pause_s=WAIT_S)
    return environments.for_commands(project, layer)


def equipment_for_reading(mirror: Mirror, sha: str) -> Equipment:
    """Return the same for who only looks around: with the set-up if it is there, and never waiting for it."""
    try:
        return equipment(mirror, sha)
    except (NotReady, SandboxError):
        return environments.for_commands(Project.objects.get(pk=mirror.project_id), None)


def key(project: Project, mirror: Mirror, sha: str) -> str:
    """Return the hash of all that decides what the set-up makes at commit ``sha``. Raises SandboxError."""
    files = [(blob.path, blob.oid) for blob in setup_files.deciding(project, mirror, sha)]
    foundation = choice().foundation(project.image, tuple(map(Path, project.toolchains)))
    facts = [FORMAT, project.setup_command, project.variables, project.toolchains, foundation, files]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _needed(project: Project, mirror: Mirror, sha: str) -> Setup:
    facts = {"sha": sha, "command": project.setup_command, "hosts": project.setup_hosts}
    return Setup.objects.get_or_create(project=project, key=key(project, mirror, sha), defaults=facts)[0]


def _layer(setup: Setup) -> Path | None:
    """Return the directory that ``setup`` made, None when there is none yet. Raises SandboxUnavailable: it failed."""
    if setup.status == Setup.Status.FAILED and _failed_just_now(setup):
        raise failure(setup)
    path = places.workspace_path(_workspace(setup).name)
    if setup.status != Setup.Status.READY or not path.is_dir():
        return None
    if setup.used_at < timezone.now() - TOUCH:
        Setup.objects.filter(pk=setup.pk).update(used_at=timezone.now())
    return path


def _failed_just_now(setup: Setup) -> bool:
    is_recent = setup.finished_at is not None and setup.finished_at > timezone.now() - RETRY_AFTER
    return is_recent and setup.ending != OUTDATED


def failure(setup: Setup) -> SandboxUnavailable:
    """Return what people are told: no agent is to blame for it."""
    said = logs.tail(setup.log).strip().splitlines()
    ending = f"exit code {setup.exit_code}" if setup.exit_code is not None else setup.ending.replace("_", " ")
    return SandboxUnavailable(
        f"The set-up of {setup.project.name} failed ({ending}){f': {said[-1][:300]}' if said else '.'}",
        hint="The whole log is in the project's settings, under “Set-ups made”.",
    )


def _order(setup: Setup) -> None:
    """Have the workers make ``setup``. Harmless when they are at it."""
    with transaction.atomic():
        if setup.status in OVER:  # as it was seen: who finished it meanwhile is not undone
            Setup.objects.filter(pk=setup.pk, status=setup.status).update(status=Setup.Status.QUEUED)
        errands.post(ERRAND, setup.pk, lane=f"set-up:{setup.project_id}")


@transaction.atomic
def again(setup: Setup, *, user: User) -> None:
    """Have a set-up made anew, whatever came of it. Raises NotAllowed."""
    require_decider(user, setup.project)
    _order(setup)
    audit.record(user, "projects.set_up_again", f"projects.setup:{setup.pk}", {"project": setup.project.key})


def carry_out(setup: Setup, lease: Lease) -> None:
    """Run the set-up command and keep what it made. Minutes, no transaction. Raises LeaseLost: it is run again."""
    if setup.status in OVER:
        return
    workspace = _workspace(setup)
    with transaction.atomic():
        lease.check()
        setup.status, setup.started_at, setup.finished_at = Setup.Status.RUNNING, timezone.now(), None
        setup.save(update_fields=["status", "started_at", "finished_at"])
    workspace.discard()
    try:
        result = _run(setup, workspace, lease) if _is_current(setup) else None
        is_outdated = result is None or not _is_current(setup)
    except (SandboxError, WorkspaceBroken) as error:
        _keep(setup, lease, Setup.Status.FAILED, ending="sandbox", log=str(error))
        return
    finally:
        workspace.close()
    if result is None or is_outdated:
        _keep(setup, lease, Setup.Status.FAILED, ending=OUTDATED, log="The project's settings are others by now.")
        workspace.discard()
        return
    status = Setup.Status.READY if result.ok else Setup.Status.FAILED
    _keep(setup, lease, status, ending=result.outcome.value, log=logs.of(result), exit_code=result.exit_code)
    if not result.ok:
        workspace.discard()


def _is_current(setup: Setup) -> bool:
    """Whether the project still needs for this commit what ``setup`` is known by. Two git processes."""
    project = Project.objects.get(pk=setup.project_id)
    return setup.key == key(project, Mirror(project.pk), setup.sha)


def _run(setup: Setup, workspace: Workspace, lease: Lease) -> Result:
    sandbox = workspace.open(setup.sha, BRANCH, environments.for_setup(setup.project))
    limits = replace(sandbox.spec.limits, output_kept=logs.LOG_BYTES)
    result = sandbox.sh(setup.project.setup_command, env={"CI": "1"}, limits=limits, cancel=lease.cancelled)
    if result.outcome in (Ending.CANCELLED, Ending.LOST):
        lease.check()
    if result.ok:
        workspace.seal()
    return result


def _keep(
    setup: Setup, lease: Lease, status: Setup.Status, *, ending: str, log: str, exit_code: int | None = None
) -> None:
    with transaction.atomic():
        lease.check()
        setup.status, setup.ending, setup.exit_code = status, ending, exit_code
        setup.log, setup.finished_at, setup.used_at = redaction.redact(log), timezone.now(), timezone.now()
        setup.save()
    logger.info("set-up %s of project %s: %s (%s)", setup.pk, setup.project_id, status, ending)


def tidy() -> None:
    """Have those deleted that nothing has used for two weeks."""
    for setup in Setup.objects.filter(used_at__lt=timezone.now() - KEEP).exclude(status=Setup.Status.RUNNING):
        errands.post(TIDY_ERRAND, setup.pk)


def delete(setup: Setup) -> None:
    """Delete a set-up and what it made, unless somebody has come to use it again. Seconds, no transaction."""
    if Setup.objects.filter(pk=setup.pk, used_at__lt=timezone.now() - KEEP).delete()[0]:
        _workspace(setup).discard()


def _workspace(setup: Setup) -> Workspace:
    return Workspace(f"setup-{setup.pk}", Mirror(setup.project_id))
