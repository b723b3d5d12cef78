"""What a stop covers, as addresses and forms write it: ``company``, ``project:3``, ``issue:12``, ``agent:4``."""

from django.http import Http404
from django.shortcuts import get_object_or_404

from agents.models import Agent
from mcc.core.models import User
from projects.models import Issue, Project
from projects.services.pausing import Scope


def find(user: User, text: str) -> Scope:
    """Return the scope called ``text``. Raises Http404 for what does not exist or ``user`` may not see."""
    kind, _, key = text.partition(":")
    if text == "company":
        return Scope()
    if not (key.isascii() and key.isdecimal() and len(key) < 19):
        raise Http404
    match kind:
        case "project":
            return Scope(get_object_or_404(Project.objects.visible_to(user).select_related("account"), pk=int(key)))
        case "issue":
            issues = Issue.objects.visible_to(user).select_related("account", "project")
            return Scope(get_object_or_404(issues, pk=int(key)))
        case "agent":
            return Scope(get_object_or_404(Agent.objects.select_related("account"), pk=int(key)))
    raise Http404
