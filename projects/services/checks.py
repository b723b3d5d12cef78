"""Checks: commands of the project that MCC itself runs on a commit. "Tests pass" means a row of these."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents.sandbox.errors import SandboxError
from agents.sandbox.types import Ending, Result, Sandbox
from mcc.core import errands, redaction
from mcc.core.errands import Lease
from projects import logs
from projects.git import Workspace
from projects.models import Check, PullRequest
from projects.services import news, setups, staffing

logger = logging.getLogger(__name__)

BRANCH = "checked"
UNFINISHED = (Check.Status.QUEUED, Check.Status.RUNNING)
FINISHED = (Check.Status.PASSED, Check.Status.FAILED, Check.Status.ERROR)
DEFAULT_TIMEOUT_S = 600


def on(pull: PullRequest, where: Check.On, sha: str) -> QuerySet[Check]:
    return pull.checks.filter(on=where, sha=sha)


def plan(pull: PullRequest, where: Check.On, sha: str) -> list[Check]:
    """Return the checks of the project on commit ``sha``, written down now as queued where they are new."""
    rows = []
    for wanted in pull.project.checks:
        check, is_new = Check.objects.get_or_create(
            pull_request=pull,
            on=where,
            sha=sha,
            name=wanted["name"],
            defaults={"command": wanted["command"], "timeout_s": wanted.get("timeout_s", DEFAULT_TIMEOUT_S)},
        )
        if is_new:
            news.check_changed(check)
        rows.append(check)
    return rows


def order(pull: PullRequest) -> list[Check]:
    """Return the checks on the head of ``pull`` and have the workers run those that have not finished."""
    rows = plan(pull, Check.On.HEAD, pull.head_sha)
    if any(check.status in UNFINISHED for check in rows):
        errands.post("projects.run_checks", pull.pk)
    return rows


def again(pull: PullRequest, *, of: Sequence[Check.Status] = (Check.Status.ERROR,)) -> None:
    """Forget how the checks on the head ended that could not run, or any ``of`` these: they are ordered anew."""
    on(pull, Check.On.HEAD, pull.head_sha).filter(status__in=of).delete()


def run_on(rows: Sequence[Check], workspace: Workspace, sha: str, lease: Lease) -> None:
    """Run those of ``rows`` that have not finished in ``workspace``, made anew at ``sha`` and deleted afterwards.

    Minutes, never in a transaction. Each starts from a clean tree. Raises LeaseLost when the right to run them ended
    meanwhile (a check cut short is run again), SandboxError when there is no place to run them, NotReady while the
    project's set-up is being made.
    """
    try:
        sandbox = workspace.open(sha, BRANCH, setups.equipment(workspace.mirror, sha))
        for check in rows:
            if check.status in UNFINISHED:
                staffing.wait_while_stopped(check.pull_request.issue)
                workspace.reset(sha)
                _run_one(check, sandbox, lease)
    finally:
        workspace.discard()


def could_not_run(rows: Sequence[Check], why: str, lease: Lease) -> None:
    """Say of those of ``rows`` that have not finished that there was no place to run them."""
    for check in rows:
        if check.status in UNFINISHED:
            _keep(check, lease, Check.Status.ERROR, ending="sandbox", output=why)


def _run_one(check: Check, sandbox: Sandbox, lease: Lease) -> None:
    with transaction.atomic():
        lease.check()
        check.status, check.started_at = Check.Status.RUNNING, timezone.now()
        check.save(update_fields=["status", "started_at"])
        news.check_changed(check)
    try:
        limits = replace(sandbox.spec.limits, wall_s=check.timeout_s, output_kept=logs.LOG_BYTES)
        result = sandbox.sh(check.command, limits=limits, cancel=lease.cancelled)
    except SandboxError as error:
        logger.warning("check %s could not run: %s", check.pk, error)
        _keep(check, lease, Check.Status.ERROR, ending="sandbox", output=str(error))
        return
    status = Check.Status.PASSED if result.ok else Check.Status.FAILED
    if result.outcome in (Ending.CANCELLED, Ending.LOST):
        lease.check()
        status = Check.Status.ERROR
    _keep(check, lease, status, ending=result.outcome.value, output=logs.of(result), result=result)


def _keep(
    check: Check, lease: Lease, status: Check.Status, *, ending: str, output: str, result: Result | None = None
) -> None:
    with transaction.atomic():
        lease.check()
        check.status, check.ending, check.finished_at = status, ending, timezone.now()
        check.exit_code = result.exit_code if result else None
        check.log = redaction.redact(output)
        check.log_bytes = result.output_total if result else len(output)
        check.save()
        news.check_changed(check)
    logger.info("check %s of pull request %s: %s (%s)", check.name, check.pull_request_id, status, ending)


def tail(check: Check) -> str:
    """Return the end of the log, where runners of tests say what failed."""
    return logs.tail(check.log)
