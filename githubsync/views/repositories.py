"""A repository on GitHub is chosen, linked to a new project, and looked after."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from githubsync.forms import LinkForm, TriggersForm
from githubsync.models import Connection, Repository, Told
from githubsync.services import importing, linking, polling
from githubsync.services import repositories as upkeep
from githubsync.services import triggers as triggering
from githubsync.services.effects import orders
from mcc.core import pages
from mcc.core.errors import DomainError, ProviderError
from mcc.core.models import User
from projects import founding
from projects.models import Project

PER_PAGE = 25


@require_GET
def choose(request: HttpRequest) -> HttpResponse:
    """The repositories of a connection, by name."""
    user = pages.person(request)
    usable = list(Connection.objects.usable_by(user))
    if not usable and not user.is_superuser:
        raise PermissionDenied
    asked = request.GET
    connection = next((row for row in usable if str(row.pk) == asked.get("connection")), usable[0] if usable else None)
    context: dict[str, Any] = {"connection": connection, "connections": usable, "ways": founding.ways_of(user)}
    context["words"] = words = asked.get("q", "")[:100]
    if connection is not None:
        try:
            found = linking.candidates(connection, words=words)
        except (DomainError, ProviderError) as refusal:
            context["problem"] = str(refusal)
        else:
            context["page"] = Paginator(found, PER_PAGE).get_page(asked.get("page"))
            context["query"] = urlencode({"connection": str(connection.pk), "q": words}) + "&"
    return render(request, "github/choose.html", context)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def link(request: HttpRequest, connection_id: int, github_id: int) -> HttpResponse:
    """Found a project on a repository."""
    user = pages.person(request)
    connection = get_object_or_404(Connection.objects.usable_by(user), pk=connection_id)
    context: dict[str, Any] = {"connection": connection, "github_id": github_id}
    try:
        context["candidate"] = candidate = linking.candidate(connection, github_id)
    except (DomainError, ProviderError) as refusal:
        return render(request, "github/link.html", context | {"problem": str(refusal)}, status=422)
    form = LinkForm(request.POST or None, full_name=candidate.full_name)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, DomainError, ProviderError):
            project = linking.link(connection, github_id, user=user, **form.cleaned_data)
            return pages.go(request, reverse("github:repository", args=[project.key]))
    return pages.answer(request, "github/link.html", "github/_link_form.html", context | {"form": form})


@require_GET
@vary_on_headers("HX-Request")
def show(request: HttpRequest, key: str) -> HttpResponse:
    """The repository of a project: whether its copy is here, what can be done with it. A fragment is the copy alone."""
    user = pages.person(request)
    repository = _repository(user, key)
    untold = Told.objects.filter(issue__project=repository.project).exclude(problem="")
    context = {
        "repository": repository,
        "project": repository.project,
        "received_kb": linking.received_bytes(repository) // 1024 if repository.cloned_at is None else 0,
        "may_change": Project.objects.maintained_by(user).filter(key=key).exists(),
        "untold": untold.order_by("-told_at").first(),
        "heard": repository.heard.all()[:10],
        "limited": orders.is_limited(repository),
        "edited": orders.edited(repository),
        "links": repository.issue_links.select_related("issue__project")[:PER_PAGE],
    }
    if pages.wants_fragment(request):
        return render(request, "github/_copy.html", context)
    return render(request, "github/repository.html", context)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def triggers(request: HttpRequest, key: str) -> HttpResponse:
    """What starts work from GitHub, and how one hears of it. Who may not decide sees it without a way to change it."""
    user = pages.person(request)
    repository = _repository(user, key)
    form = TriggersForm(request.POST or None, repository=repository)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form):
            triggering.change(repository, user=user, **form.cleaned_data)
            messages.success(request, "Saved.")
            return pages.go(request, reverse("github:triggers", args=[key]))
    context = {
        "repository": repository,
        "project": repository.project,
        "form": form,
        "hearing": polling.hearing_of(repository),
        "may_change": Project.objects.maintained_by(user).filter(key=key).exists(),
    }
    return pages.answer(request, "github/triggers.html", "github/_triggers_form.html", context)


@require_POST
def clone_again(request: HttpRequest, key: str) -> HttpResponse:
    """Try once more to copy the repository."""
    user = pages.person(request)
    linking.clone_again(_repository(user, key), user=user)
    return _to(request, key)


@require_POST
def look_again(request: HttpRequest, key: str) -> HttpResponse:
    """Have GitHub asked how the repository is."""
    user = pages.person(request)
    upkeep.look_again(_repository(user, key), user=user)
    messages.success(request, "GitHub is being asked. This page says in a moment what it answered.")
    return _to(request, key)


@require_POST
def decide_branch(request: HttpRequest, key: str) -> HttpResponse:
    """Merge into GitHub's new default branch from now on, or leave it as it is."""
    user = pages.person(request)
    upkeep.decide_branch(_repository(user, key), follow="follow" in request.POST, user=user)
    return _to(request, key)


@require_POST
def make_labels(request: HttpRequest, key: str) -> HttpResponse:
    """Make the labels that Mission Control goes by."""
    user = pages.person(request)
    try:
        made = linking.make_labels(_repository(user, key), user=user)
    except ProviderError as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, f"Made: {', '.join(made)}." if made else "The labels are there already.")
    return _to(request, key)


@require_http_methods(["GET", "POST"])
def import_issues(request: HttpRequest, key: str) -> HttpResponse:
    """Choose among the open issues, and take those that are ticked."""
    user = pages.person(request)
    repository = _repository(user, key)
    if not Project.objects.maintained_by(user).filter(key=key).exists():
        raise PermissionDenied
    number = int(page) if (page := request.GET.get("page", "")).isdigit() and len(page) < 5 else 1
    context: dict[str, Any] = {"repository": repository, "project": repository.project, "status": 200}
    if request.method == "POST":
        ticked = [int(each) for each in request.POST.getlist("number") if each.isdigit() and len(each) < 10]
        try:
            made = importing.take(repository, ticked, user=user, start="start" in request.POST)
        except (DomainError, ProviderError) as refusal:
            context |= {"refusal": str(refusal), "status": 422}
        else:
            messages.success(request, f"Imported: {', '.join(issue.key for issue in made) or 'nothing new'}.")
            return pages.go(request, reverse("projects:project", args=[key]))
    try:
        context["page"] = importing.open_issues(repository, page=max(1, number))
    except (DomainError, ProviderError) as refusal:
        context["problem"] = str(refusal)
    return render(request, "github/import.html", context, status=context["status"])


def _repository(user: User, key: str) -> Repository:
    rows = Repository.objects.select_related("project", "connection")
    return get_object_or_404(rows, project__in=Project.objects.visible_to(user), project__key=key)


def _to(request: HttpRequest, key: str) -> HttpResponse:
    return pages.go(request, reverse("github:repository", args=[key]))
