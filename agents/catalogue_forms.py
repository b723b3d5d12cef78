"""Forms of providers and models. A key goes in and is never shown again."""

from decimal import Decimal

from django import forms

from agents.models import ModelCard, Provider
from agents.services.cards import Typed
from budgets.models import Price
from mcc.core.money import NANOUSD, nanousd

HIGHEST_USD = Decimal(1_000_000)
MOST_TOKENS = 100_000_000
KINDS = [(kind.value, kind.label) for kind in Provider.Kind if kind is not Provider.Kind.REHEARSAL]
PRICES = {
    "input_usd": "input_nanousd_per_mtok",
    "output_usd": "output_nanousd_per_mtok",
    "cache_read_usd": "cache_read_nanousd_per_mtok",
    "cache_write_usd": "cache_write_nanousd_per_mtok",
    "request_usd": "request_nanousd",
}


def key_field(*, required: bool) -> forms.CharField:
    """Return a field that takes an API key and never shows it."""
    hidden = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(label="API key", max_length=1_000, required=required, widget=hidden)


def _usd_field(label: str, help_text: str = "", *, required: bool = True) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, help_text=help_text, required=required, min_value=0, max_value=HIGHEST_USD, decimal_places=9
    )


class NewProviderForm(forms.Form):
    """A provider that is not there yet."""

    name = forms.SlugField(max_length=100, help_text="Stays as it is: the books name it.")
    kind = forms.ChoiceField(choices=KINDS, help_text="OpenRouter lists its prices; of other servers you type them.")
    base_url = forms.CharField(label="Address", max_length=300, initial="https://openrouter.ai/api/v1")
    api_key = key_field(required=False)


class ProviderForm(forms.Form):
    """Where a provider is."""

    base_url = forms.CharField(label="Address", max_length=300)
    api_key = key_field(required=False)

    def __init__(self, data: object = None, *, provider: Provider) -> None:
        super().__init__(data, initial={"base_url": provider.base_url})  # type: ignore[arg-type]
        self.fields["api_key"].help_text = "Only for another server: none gets a key that it was not given."


class KeyForm(forms.Form):
    """A key in place of the one that is stored."""

    api_key = key_field(required=True)


class ManagementKeyForm(forms.Form):
    """A management key in place of the one that is stored."""

    management_key = key_field(required=True)


class ModelForm(forms.Form):
    """A model of a provider that has no price list: its limits, and its price as a person knows it."""

    context_tokens = forms.IntegerField(label="Context in tokens", min_value=1, max_value=MOST_TOKENS, initial=128_000)
    max_output_tokens = forms.IntegerField(label="Longest answer", min_value=1, max_value=MOST_TOKENS, initial=8_192)
    input_usd = _usd_field("Input, $ per million tokens")
    output_usd = _usd_field("Output, $ per million tokens")
    cache_read_usd = _usd_field("Read from cache", "Empty: as other input.", required=False)
    cache_write_usd = _usd_field("Written to cache", "Empty: as other input.", required=False)
    request_usd = _usd_field("$ per request", required=False)

    @classmethod
    def of(cls, card: ModelCard) -> "ModelForm":
        """Return the form filled with what is known of ``card``."""
        limits = {"context_tokens": card.context_tokens, "max_output_tokens": card.max_output_tokens}
        return cls(initial=limits | (_shown(card.price) if card.price else {}))

    @property
    def typed(self) -> Typed:
        values = self.cleaned_data
        amounts = {field: None if values[name] is None else nanousd(values[name]) for name, field in PRICES.items()}
        amounts["request_nanousd"] = amounts["request_nanousd"] or 0
        return Typed(values["context_tokens"], values["max_output_tokens"], amounts)


class NewModelForm(ModelForm):
    name = forms.CharField(max_length=200, help_text="As the provider spells it.")
    field_order = ("name",)


def _shown(price: Price) -> dict[str, str]:
    """Return the amounts in dollars, as a person would write them."""
    amounts = price.amounts
    known = {name: amounts[field] for name, field in PRICES.items()}
    return {
        name: f"{(Decimal(amount) / NANOUSD).normalize():f}" for name, amount in known.items() if amount is not None
    }
