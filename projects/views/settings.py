"""A project is founded, and its rules are changed."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from budgets import queries
from mcc.core import pages
from mcc.core.errors import DomainError, ProviderError
from mcc.core.models import User
from projects import founding
from projects.forms import MemberForm, NewProjectForm
from projects.models import Membership, Project
from projects.services import projects, rights, setups
from projects.settings_forms import SECTIONS, SectionForm

SETUPS_SHOWN = 5


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def new(request: HttpRequest) -> HttpResponse:
    """Found a project: administrators only, for a path is read with the server's rights. Others go their way."""
    user = pages.person(request)
    ways = founding.ways_of(user)
    if not user.is_superuser:
        if not ways:
            raise PermissionDenied
        return redirect(ways[0].url)
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, DomainError, ProviderError):
            project = projects.create(user=user, **form.cleaned_data)
            return pages.go(request, reverse("projects:settings", args=[project.key]))
    return pages.answer(
        request, "projects/settings/new.html", "projects/settings/_new_form.html", {"form": form, "ways": ways}
    )


@require_GET
def overview(request: HttpRequest, key: str) -> HttpResponse:
    """All sections of a project's settings; who may not decide sees them without a way to change them."""
    user = pages.person(request)
    return render(request, "projects/settings/page.html", _page(_project(user, key), user))


@require_POST
@vary_on_headers("HX-Request")
def change(request: HttpRequest, key: str, section: str) -> HttpResponse:
    """Change one section."""
    user = pages.person(request)
    project = _project(user, key)
    if section not in SECTIONS:
        raise Http404
    form = SECTIONS[section](request.POST, project=project)
    if form.is_valid():
        with pages.explained(form):
            projects.configure(project, user=user, **form.rules())
            return _saved(request, project)
    return _answer(request, project, user, form)


@require_POST
@vary_on_headers("HX-Request")
def set_member(request: HttpRequest, key: str) -> HttpResponse:
    """Give a person a role in the project, another one, or none."""
    user = pages.person(request)
    project = _project(user, key)
    form = MemberForm(request.POST)
    if form.is_valid():
        role = form.cleaned_data["role"]
        with pages.explained(form):
            projects.set_member(
                project, form.cleaned_data["username"], Membership.Role(role) if role else None, user=user
            )
            return _saved(request, project)
    return _answer(request, project, user, form)


@require_GET
def setup(request: HttpRequest, key: str, pk: int) -> HttpResponse:
    """How one set-up went, with its log."""
    user = pages.person(request)
    project = _project(user, key)
    row = get_object_or_404(project.setups, pk=pk)
    context = {"project": project, "setup": row, "may_change": _may_change(user, project)}
    return render(request, "projects/settings/setup.html", context)


@require_POST
def setup_again(request: HttpRequest, key: str, pk: int) -> HttpResponse:
    """Have one set-up made anew."""
    user = pages.person(request)
    project = _project(user, key)
    setups.again(get_object_or_404(project.setups.select_related("project"), pk=pk), user=user)
    return _saved(request, project)


def _may_change(user: User, project: Project) -> bool:
    return Project.objects.maintained_by(user).filter(pk=project.pk).exists()


def _project(user: User, key: str) -> Project:
    return get_object_or_404(Project.objects.visible_to(user).select_related("account"), key=key)


def _saved(request: HttpRequest, project: Project) -> HttpResponse:
    return pages.go(request, reverse("projects:settings", args=[project.key]))


def _answer(request: HttpRequest, project: Project, user: User, form: SectionForm | MemberForm) -> HttpResponse:
    part = "projects/settings/_members.html" if isinstance(form, MemberForm) else "projects/settings/_section.html"
    context = _page(project, user, form) | {"form": form}
    return pages.answer(request, "projects/settings/page.html", part, context)


def _page(project: Project, user: User, sent: SectionForm | MemberForm | None = None) -> dict[str, Any]:
    """Context of the page; the form that was sent stands in its place, with its errors."""
    # A form that was refused has changed the instance: what is shown beside it is what is stored.
    stored = Project.objects.select_related("account").get(pk=project.pk) if sent else project
    forms_ = {name: form(project=stored) for name, form in SECTIONS.items()}
    may_own = rights.owns(user, stored)
    member_form = MemberForm()
    if isinstance(sent, MemberForm):
        member_form = sent
    elif sent is not None:
        forms_[sent.section] = sent
    if not may_own:
        member_form.leave_out_owners()
    return {
        "project": stored,
        "sections": forms_,
        "member_form": member_form,
        "members": stored.memberships.select_related("user").order_by("role", "user__username"),
        "team": stored.team.select_related("model__provider"),
        "standings": queries.standings(stored.account),
        "spent_nanousd": queries.spent_nanousd(stored.account),
        "may_change": _may_change(user, stored),
        "setups": stored.setups.defer("log")[:SETUPS_SHOWN],
        "roles": [choice for choice in Membership.Role.choices if may_own or choice[0] != Membership.Role.OWNER],
        "may_own": may_own,
    }
