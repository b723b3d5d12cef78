"""The shape of what people write about projects."""

from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse

from agents.models import Agent
from mcc.core.models import User
from mcc.core.money import nanousd
from projects.models import Issue, Membership, Project

PRIORITIES = [(2, "Urgent"), (1, "High"), (0, "Normal"), (-1, "Low")]


class NewProjectForm(forms.Form):
    """A repository on this machine, or one that may be read by an address."""

    name = forms.CharField(max_length=100)
    key = forms.CharField(max_length=8, help_text="Prefix of its issues, as in ATL-12. Capital letters and digits.")
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
        offer_agents(self)


ROLES = [*Membership.Role.choices, ("", "None: leaves the project")]


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
        choices=ROLES,
        required=False,
        initial=Membership.Role.VIEWER,
    )

    def leave_out_owners(self) -> None:
        """Offer no ownership: who looks at the form may not give it."""
        field = self.fields["role"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [choice for choice in ROLES if choice[0] != Membership.Role.OWNER]


def offer_agents(form: forms.Form) -> None:
    """Let the field ``team`` offer everybody at work, chosen unless something else is."""
    field = form.fields["team"]
    assert isinstance(field, forms.ModelMultipleChoiceField)
    field.queryset = Agent.objects.filter(active=True).order_by("pk")
    field.initial = list(field.queryset.values_list("pk", flat=True))


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
        field.widget.attrs |= {
            "hx-get": reverse("projects:issue_forecast"),
            "hx-trigger": "change",
            "hx-target": "#issue-forecast",
            "hx-swap": "outerHTML",
        }

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
