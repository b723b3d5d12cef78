"""Runs that wait until a time which their provider named: whoever decides there may let them try before."""

from agents.models import Run
from agents.services import runs
from mcc.core import audit
from mcc.core.models import User
from projects.models import Project
from projects.services.rights import require_administrator, require_decider


def wake(run: Run, *, user: User) -> bool:
    """Let ``run`` go on now. False: it does not wait for a time any more. Raises NotAllowed."""
    project = _project(run)
    if project is None:
        require_administrator(user)
    else:
        require_decider(user, project)
    woken = runs.go_on(run)
    if woken:
        audit.record(user, "projects.go_on", f"agents.run:{run.pk}")
    return woken


def may_wake(run: Run, user: User) -> bool:
    """Whether ``user`` may let ``run`` go on before its time."""
    project = _project(run)
    if project is None:
        return user.is_superuser
    return Project.objects.maintained_by(user).filter(pk=project.pk).exists()


def _project(run: Run) -> Project | None:
    return Project.objects.filter(account__in=run.accounts.all()).first()
