"""What the page of a project on GitHub says of its repository."""

from collections.abc import Sequence

from django.urls import reverse

from githubsync.models import Repository
from githubsync.services.effects import orders
from projects.models import Project
from projects.notices import Notice


def of(project: Project) -> Sequence[Notice]:
    """Return what there is to decide. Two queries, none for projects elsewhere."""
    repository = Repository.objects.filter(project=project).first() if project.forge == Project.Forge.GITHUB else None
    if repository is None:
        return ()
    url = reverse("github:repository", args=[project.key])
    if repository.trouble:
        text = "Its page says why, and has GitHub asked again."
        return [Notice(f"Work cannot go on in {repository}.", text, "Look", url)]
    if repository.branch_before and repository.default_branch != project.default_branch:
        text = f"Its default branch is {repository.default_branch}; work here goes into {project.default_branch}."
        return [Notice(f"{repository} changed on GitHub.", text, "Decide", url)]
    if orders.edited(repository):
        text = "It was edited after somebody gave the order, by who may not give any: nothing was started."
        return [Notice("The text of an issue on GitHub is to be read again.", text, "Look", url)]
    return ()
