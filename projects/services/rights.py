"""Who may decide in a project, and for all of the company."""

from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.models import Membership, Project


def require_decider(user: User | None, project: Project) -> None:
    """Raise NotAllowed unless ``user`` may decide in ``project``. Nobody is Mission Control itself, which may."""
    if user is not None and not Project.objects.maintained_by(user).filter(pk=project.pk).exists():
        raise NotAllowed(f"Only an owner or a maintainer of {project.name} may do this.")


def owns(user: User, project: Project) -> bool:
    """Whether ``user`` says who owns ``project``: an owner does, and any administrator."""
    owners = project.memberships.filter(role=Membership.Role.OWNER)
    return user.is_superuser or owners.filter(user=user).exists()


def require_administrator(user: User) -> None:
    """Raise NotAllowed for everybody but administrators."""
    if not user.is_superuser:
        raise NotAllowed("Only an administrator may do this.")
