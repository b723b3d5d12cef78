"""Which usages somebody asks for, as addresses write it: ``?project=ATL&model=acme/large&since=2031-03-01``.

One form for the page, the export and the API, so that the same words mean the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from agents.models import Agent, Outcome
from agents.outcomes import GOING_ON, NO_RUN
from budgets import access
from budgets.models import Account, Usage
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.models import Issue, Project

OUTCOMES = [("", "Any"), *Outcome.choices, (GOING_ON, "Not over yet"), (NO_RUN, "No run")]
DAYS = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2999, 12, 31))]
SOURCES = [("", "Any"), *((source.value, source.label.capitalize()) for source in Usage.Source)]


class DayField(forms.DateField):
    """A day of this age: the one after the last that Python knows cannot be computed."""

    def __init__(self, label: str) -> None:
        written = forms.DateInput({"type": "date"}, format="%Y-%m-%d")
        super().__init__(label=label, validators=DAYS, required=False, widget=written)


def name_field(name: str, label: str, most: int) -> forms.CharField:
    """A name in the book; the page suggests those that there are, in a list called after the field."""
    written = forms.TextInput({"list": f"usage-{name}"})
    return forms.CharField(label=label, max_length=most, required=False, widget=written)


@dataclass(frozen=True)
class UsageFilter:
    """What is asked for; empty fields ask for nothing. ``since`` and ``until`` are days, both included.

    ``model`` and ``provider`` answered; ``model_asked`` was asked for, at our provider of the name ``endpoint``.
    """

    project: Project | None = None
    issue: Issue | None = None
    agent: Agent | None = None
    account: Account | None = None
    model: str = ""
    provider: str = ""
    model_asked: str = ""
    endpoint: str = ""
    since: date | None = None
    until: date | None = None
    outcome: str = ""
    source: str = ""
    run: int | None = None

    @property
    def accounts(self) -> list[Account]:
        """Those that all must have paid, the narrowest first."""
        owners = (self.issue, self.agent, self.project)
        paid = [self.account, *(owner.account for owner in owners if owner)]
        return list({account.pk: account for account in paid if account}.values())

    @property
    def asks_the_end(self) -> bool:
        """Whether it asks for what is known only of calls that were charged, or of their runs."""
        return bool(self.source or self.provider or self.outcome or self.run)


class UsageFilterForm(forms.Form):
    """What ``user`` may ask for. A project or an issue that they cannot see does not exist."""

    project = forms.ModelChoiceField(
        Project.objects.none(), to_field_name="key", required=False, empty_label="Any", blank=True
    )
    issue = forms.CharField(max_length=40, required=False, widget=forms.TextInput({"placeholder": "ATL-12"}))
    agent = forms.ModelChoiceField(
        Agent.objects.select_related("account"), to_field_name="name", required=False, empty_label="Any"
    )
    endpoint = name_field("endpoint", "Provider", 100)
    model_asked = name_field("model_asked", "Model asked for", 200)
    model = name_field("model", "Model that answered", 200)
    provider = name_field("provider", "Answered by", 100)
    since = DayField(label="From")
    until = DayField(label="To")
    outcome = forms.ChoiceField(label="Outcome of the run", choices=OUTCOMES, required=False)
    source = forms.ChoiceField(label="Who says what it cost", choices=SOURCES, required=False)
    run = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False, widget=forms.HiddenInput)
    account = forms.ModelChoiceField(Account.objects.none(), required=False, widget=forms.HiddenInput)

    def __init__(self, user: User, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._user = user
        projects = Project.objects.visible_to(user).select_related("account")
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]
        self.fields["account"].queryset = access.visible_accounts(user)  # type: ignore[attr-defined]

    def clean_issue(self) -> Issue | None:
        text = self.cleaned_data["issue"].strip()
        if not text:
            return None
        key, _, number = text.upper().rpartition("-")
        if number.isascii() and number.isdecimal() and len(number) < 10:
            issues = Issue.objects.visible_to(self._user).select_related("account", "project")
            if issue := issues.filter(project__key=key, number=int(number)).first():
                return issue
        raise forms.ValidationError("There is no such issue.")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error("until", "The end is before the beginning.")
        return values

    @property
    def filter(self) -> UsageFilter:
        """Return what is asked for. Raises InvalidInput with the reasons beside their fields."""
        if not self.is_valid():
            reasons = {name: [str(error) for error in errors] for name, errors in self.errors.items()}
            raise InvalidInput("This filter makes no sense.", fields=reasons)
        return UsageFilter(**{name: self.cleaned_data[name] for name in self.fields})

    @property
    def given(self) -> dict[str, str]:
        """What was filled in, as it was written."""
        return {name: str(self.data[name]).strip() for name in self.fields if str(self.data.get(name, "")).strip()}


def query(given: Mapping[str, str], **changes: str) -> str:
    """Return ``given`` with ``changes``, without what is empty, as the query of an address."""
    return urlencode({name: value for name, value in {**given, **changes}.items() if value})
