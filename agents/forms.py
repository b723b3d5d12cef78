from typing import Any

from django import forms
from django.http import QueryDict

from agents.models import Agent, Effort, ModelCard, Role
from agents.tools import registry
from budgets.forms import HIGHEST_USD
from budgets.models import HoldDecision
from mcc.core.money import nanousd


class ModelChoice(forms.ModelChoiceField):
    def label_from_instance(self, card: ModelCard) -> str:
        return _label(card)


class ModelChoices(forms.ModelMultipleChoiceField):
    def label_from_instance(self, card: ModelCard) -> str:
        return _label(card)


def _label(card: ModelCard) -> str:
    return f"{card.name} (rehearsal: a script)" if card.is_rehearsal else f"{card.name} by {card.provider.name}"


class AgentForm(forms.Form):
    """How an agent works."""

    model = ModelChoice(queryset=ModelCard.objects.none())
    fallbacks = ModelChoices(
        queryset=ModelCard.objects.none(),
        required=False,
        help_text="Used in order of price when the model cannot be reached.",
    )
    temperature = forms.DecimalField(min_value=0, max_value=2, max_digits=3, decimal_places=2)
    effort = forms.ChoiceField(
        label="Thinking",
        required=False,
        choices=[("", "as its model likes"), *Effort.choices],
        help_text="Before it answers. Costs output tokens; only models that can be told are told.",
    )
    max_tokens = forms.IntegerField(label="Longest answer", min_value=1, help_text="Output tokens of one answer.")
    system_prompt = forms.CharField(
        label="Instructions",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="Added to what its role says. Runs under way keep theirs.",
    )
    tools = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all that the role may use."
    )
    active = forms.BooleanField(label="In service", required=False, help_text="Gets new work.")

    def __init__(self, data: QueryDict | None = None, *, agent: Agent) -> None:
        cards = ModelCard.objects.callable().select_related("provider").order_by("provider__name", "name")
        initial = {
            name: getattr(agent, name)
            for name in ("temperature", "effort", "max_tokens", "system_prompt", "tools", "active")
        }
        initial |= {"model": agent.model_id, "fallbacks": [card.pk for card in agent.fallbacks.all()]}
        super().__init__(data, initial=initial)
        for name in ("model", "fallbacks"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = cards | ModelCard.objects.filter(pk=agent.model_id).select_related("provider")
        tools = self.fields["tools"]
        assert isinstance(tools, forms.MultipleChoiceField)
        tools.choices = [(tool.name, tool.name) for tool in registry.for_role(Role(agent.role))]


class HireForm(forms.Form):
    """A new member of the company."""

    name = forms.SlugField(max_length=60, help_text="What people write after @.")
    role = forms.ChoiceField(choices=Role.choices)
    model = ModelChoice(queryset=ModelCard.objects.none())

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        field = self.fields["model"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = ModelCard.objects.callable().select_related("provider").order_by("provider__name", "name")


class DecisionForm(forms.Form):
    """What became of a call that nobody can be asked about."""

    verdict = forms.ChoiceField(label="What you know", choices=HoldDecision.Verdict.choices)
    amount_usd = forms.DecimalField(
        label="Amount in $",
        required=False,
        min_value=0,
        max_value=HIGHEST_USD,
        decimal_places=9,
        widget=forms.NumberInput({"step": "any"}),
        help_text="By the provider's own bill, where you charge an amount: at most what is set aside.",
    )
    reason = forms.CharField(label="How you know", max_length=300, widget=forms.Textarea({"rows": 2}))

    @property
    def decision(self) -> dict[str, Any]:
        amount = self.cleaned_data["amount_usd"]
        return {
            "verdict": self.cleaned_data["verdict"],
            "amount_nanousd": None if amount is None else nanousd(amount),
            "reason": self.cleaned_data["reason"],
        }
