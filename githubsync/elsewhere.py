"""Where on GitHub an issue is, and which page here tells of a project's repository."""

from django.urls import reverse

from githubsync.models import Heard, IssueLink
from projects.elsewhere import Place
from projects.models import Issue, Project


def of_issue(issue: Issue) -> Place | None:
    """Return the issue there, who wrote it, and who ordered the work if it was ordered there. Two queries at most."""
    if issue.project.forge != Project.Forge.GITHUB:
        return None
    link = IssueLink.objects.select_related("repository__connection").filter(issue=issue).first()
    if link is None:
        return None
    there = Heard.objects.filter(repository=link.repository, number=link.number)
    order = there.filter(outcome=Heard.Outcome.STARTED).order_by("pk").first()
    by = f"by @{link.author}"
    if order and order.actor != link.author:
        by += f", ordered by @{order.actor}"
    return Place(f"GitHub #{link.number}", link.url, by)


def of_project(project: Project) -> Place | None:
    if project.forge != Project.Forge.GITHUB:
        return None
    return Place("GitHub", reverse("github:repository", args=[project.key]))
