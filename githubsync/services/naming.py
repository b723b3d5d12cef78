"""What a linked repository is called. Its number stays; name and address change when somebody renames or transfers it.

Git knows repositories by name only. GitHub is not asked for it before each fetch and push: what it said lately holds,
its webhooks tell of a new name, and where nothing is under the old one any more it is asked at once.
"""

from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from githubsync.models import Repository
from projects.models import Project

FACTS: Final = ("full_name", "default_branch", "private", "archived")
TRUSTED: Final = timedelta(minutes=5)
"""As long as GitHub's word on who may write. Whoever takes an old name over needs as much luck as that."""


def is_known(repository: Repository) -> bool:
    """Whether the name is as GitHub said it lately. One query, which brings what others wrote down meanwhile."""
    repository.refresh_from_db(fields=["full_name", "named_at"])
    return repository.named_at is not None and repository.named_at > timezone.now() - TRUSTED


@transaction.atomic
def write_down(repository: Repository, facts: dict[str, Any]) -> None:
    """Keep what GitHub says of ``repository``. Which branch work goes into is not changed by that."""
    now = {name: facts[name] for name in FACTS}
    is_same = all(getattr(repository, name) == value for name, value in now.items())
    if repository.default_branch != now["default_branch"]:
        now["branch_before"] = repository.default_branch
    now["named_at"] = timezone.now()
    for name, value in now.items():
        setattr(repository, name, value)
    Repository.objects.filter(pk=repository.pk).update(**now)
    if not is_same:
        Project.objects.filter(pk=repository.project_id or 0).update(repository=repository.html_url)
