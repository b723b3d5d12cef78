"""Who may hear the company's live streams."""

from mcc.core.live import watcher
from mcc.core.models import User
from projects.models import Issue, Project


@watcher("issue")
def hears_issue(user: User, key: str) -> bool:
    return key.isdecimal() and Issue.objects.visible_to(user).filter(pk=int(key)).exists()


@watcher("project")
def hears_project(user: User, key: str) -> bool:
    return key.isdecimal() and Project.objects.visible_to(user).filter(pk=int(key)).exists()


@watcher("company")
def hears_company(user: User, key: str) -> bool:
    """Everybody who may log in: events carry keys only, and fragments are fetched with the viewer's own rights."""
    return True
