"""The shape of what people write about projects."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from agents.models import Agent
from mcc.core.models import User
from mcc.core.money import nanousd, usd_string
from projects import forge
from projects.models import Issue, Membership, Project

CHECK_LINE = re.compile(r"(?P<name>[^:()]+?)\s*(?:\((?P<timeout_s>[0-9]{1,6})\))?\s*:\s*(?P<command>.+)")
"""``tests: pytest -q`` or, with another limit than ten minutes, ``tests (900): pytest -q``."""
DEFAULT_TIMEOUT_S = 600
PRIORITIES = [(2, "Urgent"), (1, "High"), (0, "Normal"), (-1, "Low")]


class NewProjectForm(forms.Form):
    """A repository to work on."""

    name = forms.CharField(max_length=100)
    key = forms.CharField(max_length=8, help_text="Prefix of its issues, as in ATL-12. Capital letters and digits.")
    forge = forms.ChoiceField(label="Where it is")
    repository = forms.CharField(
        max_length=500,
        help_text=(
            "A path on this machine: finished work is merged there. Or an https address: Mission Control copies it "
            "once and works on its copy."
        ),
    )
    team = forms.ModelMultipleChoiceField(
        queryset=Agent.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, help_text="Who works on it."
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        _offer_agents(self)
        self.fields["team"].initial = list(Agent.objects.filter(active=True).values_list("pk", flat=True))
        self._offer_forges()

    def _offer_forges(self) -> None:
        """Offer the forges that this installation has; with one there is nothing to choose."""
        kinds = [(kind.value, kind.label) for kind in Project.Forge if kind in forge.registered()]
        field = self.fields["forge"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = kinds
        if len(kinds) == 1:
            field.widget, field.required, field.initial = forms.HiddenInput(), False, kinds[0][0]

    def clean_forge(self) -> str:
        return self.cleaned_data["forge"] or str(self.fields["forge"].initial)


class SectionForm(forms.Form):
    """One section of a project's settings. ``rules`` are the arguments of ``projects.configure``."""

    section: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, initial=self.stored(project))

    def stored(self, project: Project) -> dict[str, Any]:
        """Return what the fields show first."""
        return {name: getattr(project, name) for name in self.base_fields}

    def rules(self) -> dict[str, Any]:
        return self.cleaned_data


class NameForm(SectionForm):
    section, title = "name", "Name"

    name = forms.CharField(max_length=100)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=2_000)
    default_branch = forms.CharField(max_length=200, help_text="Where finished work is merged.")


class RulesForm(SectionForm):
    section, title = "rules", "Rules"

    plan_needs_approval = forms.BooleanField(label="A person approves each plan", required=False)
    merge_needs_approval = forms.BooleanField(label="A person approves each merge", required=False)
    fast_lane = forms.BooleanField(label="Small issues skip the Tester", required=False)
    parallel_coders = forms.IntegerField(label="Coders at once", min_value=1, max_value=20)
    max_rework = forms.IntegerField(
        label="Rounds of rework", min_value=1, max_value=20, help_text="Then a person is asked what to do."
    )
    issue_budget_usd = forms.DecimalField(
        label="Budget of an issue in $",
        min_value=0,
        max_value=100_000,
        decimal_places=4,
        help_text="Unless the issue says otherwise. 0: no limit of its own.",
    )

    def stored(self, project: Project) -> dict[str, Any]:
        values = {name: getattr(project, name) for name in self.base_fields if name != "issue_budget_usd"}
        return values | {"issue_budget_usd": usd_string(project.issue_budget_nanousd)}

    def rules(self) -> dict[str, Any]:
        values = dict(self.cleaned_data)
        return values | {"issue_budget_nanousd": nanousd(values.pop("issue_budget_usd"))}


class ChecksForm(SectionForm):
    section, title = "checks", "Checks"

    checks = forms.CharField(
        label="Commands",
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "code", "spellcheck": "false", "placeholder": "tests: pytest -q"}
        ),
        help_text=(
            "One a line: a name, a colon, the command. Mission Control runs them itself on every commit. A limit in "
            "seconds may stand in brackets, as in tests (900): pytest -q"
        ),
    )

    def stored(self, project: Project) -> dict[str, Any]:
        return {"checks": "\n".join(map(_check_line, project.checks))}

    def clean_checks(self) -> list[dict[str, Any]]:
        lines = [line.strip() for line in self.cleaned_data["checks"].splitlines() if line.strip()]
        return [_check(line) for line in lines]


class TeamForm(SectionForm):
    section, title = "team", "Team"

    team = forms.ModelMultipleChoiceField(
        queryset=Agent.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Who works on it"
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, project=project)
        _offer_agents(self)

    def stored(self, project: Project) -> dict[str, Any]:
        return {"team": list(project.team.values_list("pk", flat=True))}


SECTIONS: dict[str, type[SectionForm]] = {form.section: form for form in (NameForm, RulesForm, ChecksForm, TeamForm)}


class MemberForm(forms.Form):
    """A person and their role; without a role they leave."""

    username = forms.ModelChoiceField(
        label="Person",
        help_text="Their username.",
        queryset=User.objects.filter(is_active=True),
        to_field_name="username",
        widget=forms.TextInput,
    )
    role = forms.ChoiceField(
        choices=[*Membership.Role.choices, ("", "None: leaves the project")],
        required=False,
        initial=Membership.Role.VIEWER,
    )


def _offer_agents(form: forms.Form) -> None:
    field = form.fields["team"]
    assert isinstance(field, forms.ModelMultipleChoiceField)
    field.queryset = Agent.objects.filter(active=True).order_by("pk")


def _check_line(check: Mapping[str, Any]) -> str:
    seconds = "" if check["timeout_s"] == DEFAULT_TIMEOUT_S else f" ({check['timeout_s']})"
    return f"{check['name']}{seconds}: {check['command']}"


def _check(line: str) -> dict[str, Any]:
    match = CHECK_LINE.fullmatch(line)
    if match is None:
        raise forms.ValidationError(f"Write a name, a colon and a command: {line[:80]}")
    return {
        "name": match["name"],
        "command": match["command"],
        "timeout_s": int(match["timeout_s"] or DEFAULT_TIMEOUT_S),
    }


class IssueForm(forms.Form):
    """What somebody wants. Editing has no project, budget or start: those are decided once."""

    title = forms.CharField(max_length=200, help_text="What is wanted, in one line.")
    body = forms.CharField(
        label="Description",
        required=False,
        max_length=50_000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="Markdown. What is wrong or missing, how to see it, and how you will know that it is done.",
    )
    project = forms.ModelChoiceField(queryset=Project.objects.none(), to_field_name="key", empty_label=None)
    priority = forms.TypedChoiceField(coerce=int, initial=0, choices=PRIORITIES)
    budget_usd = forms.DecimalField(
        label="Budget in $",
        required=False,
        min_value=0,
        max_value=100_000,
        decimal_places=4,
        help_text="What it may cost in all. Empty: what the project allows. 0: no limit of its own.",
    )
    start = forms.BooleanField(label="Start now", required=False, initial=True, help_text="Or let it wait for your go.")

    def __init__(self, data: QueryDict | None = None, *, user: User, project: Project | None = None) -> None:
        super().__init__(data, initial={"project": project.key if project else None})
        self.fields["title"].widget.attrs["autofocus"] = True
        self.fields["body"].widget.attrs["data-draft"] = "issue-new"
        field = self.fields["project"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Project.objects.maintained_by(user)

    def values(self) -> dict[str, Any]:
        """Return the arguments of ``issues.create``, the project apart."""
        values = {name: value for name, value in self.cleaned_data.items() if name not in ("project", "budget_usd")}
        budget_usd = self.cleaned_data["budget_usd"]
        return values | {"budget_nanousd": None if budget_usd is None else nanousd(budget_usd)}


class EditIssueForm(forms.Form):
    """The words and the rank of an issue; once its plan is approved, only the rank."""

    title = IssueForm.base_fields["title"]
    body = IssueForm.base_fields["body"]
    priority = IssueForm.base_fields["priority"]

    def __init__(self, data: QueryDict | None = None, *, issue: Issue) -> None:
        super().__init__(data, initial={"title": issue.title, "body": issue.body, "priority": issue.priority})
        if issue.plan_approved_at:
            del self.fields["title"], self.fields["body"]
        rank = self.fields["priority"]
        assert isinstance(rank, forms.TypedChoiceField)
        if issue.priority not in dict(PRIORITIES):
            rank.choices = [*PRIORITIES, (issue.priority, f"As it is ({issue.priority})")]
