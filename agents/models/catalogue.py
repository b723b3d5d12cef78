import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Subquery, Sum, TextChoices, Value

from budgets.models import Price
from mcc.core.encryption import EncryptedTextField


def validate_base_url(url: str) -> None:
    """Accept what a path can be added to. Names without a dot count: many servers stand in a network of containers."""
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        complete = False
    if not complete or re.search(r"[\s\\]", url):
        raise ValidationError("Write an address as in https://openrouter.ai/api/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValidationError("No name, password or query in the address: the key has a field of its own.")


class Provider(models.Model):
    """An OpenAI-compatible endpoint. A key that is stored here wins over the one in the environment."""

    class Kind(TextChoices):
        OPENROUTER = "openrouter", "OpenRouter"
        OPENAI_COMPATIBLE = "openai_compatible", "OpenAI-compatible"
        REHEARSAL = "rehearsal"

    class Suspension(TextChoices):
        """Why nobody's call can succeed there until a person has done something, or a period has passed."""

        KEY = "key", "the API key is not accepted"
        CREDITS = "credits", "the account has no credit left"
        KEY_LIMIT = "key_limit", "the API key has reached its own limit"
        BUDGET = "budget", "a budget that is set at the provider is used up"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    base_url = models.CharField(max_length=300, blank=True, validators=[validate_base_url])
    refreshed_at = models.DateTimeField(null=True, editable=False, help_text="when its list of models was last read")
    refresh_problem = models.CharField(max_length=400, blank=True, editable=False, help_text="why not since then")
    health_at = models.DateTimeField(null=True, editable=False)
    health = models.JSONField(null=True, editable=False, help_text="what the last check found")
    key_setting = models.CharField(max_length=100, blank=True, help_text="environment variable that holds the API key")
    api_key = EncryptedTextField()
    api_key_set_at = models.DateTimeField(null=True, editable=False)
    management_key = EncryptedTextField(help_text="reads bills and limits the API key; can call no model")
    management_key_set_at = models.DateTimeField(null=True, editable=False)
    wall_period = models.CharField(
        max_length=7,
        blank=True,
        editable=False,
        help_text="which limit of the company its own one on our key follows",
    )
    wall_nanousd = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="what that was when its own one was last set; null: nobody knows",
    )
    wall_set_at = models.DateTimeField(null=True, editable=False)
    wall_problem = models.CharField(max_length=400, blank=True, editable=False, help_text="why it does not follow now")
    active = models.BooleanField(default=True)
    changes = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="how often it, its models or its prices changed: runs under way look again"
    )
    suspended_for = models.CharField(max_length=9, choices=Suspension.choices, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_why = models.CharField(max_length=500, blank=True, help_text="in the words of its refusal")
    resets_at = models.DateTimeField(null=True, blank=True, help_text="suspended: when it said that this ends")
    checked_at = models.DateTimeField(null=True, blank=True, help_text="suspended: when it was asked again last")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(suspended_for="", suspended_at=None) | Q(suspended_for__gt="", suspended_at__isnull=False),
                name="provider_suspended_for_something",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_price_list(self) -> bool:
        """Whether its list of models tells their prices. Of others a person types them."""
        return self.kind != self.Kind.OPENAI_COMPATIBLE

    def note_change(self) -> None:
        """Let the next call of every run see what changed. Call it in the transaction of the change."""
        Provider.objects.filter(pk=self.pk).update(changes=F("changes") + 1)

    @staticmethod
    def all_changes() -> Subquery:
        """Return the expression of how often anything in the catalogue changed: it never shrinks."""
        together = Provider.objects.order_by().values(all=Value(1)).annotate(total=Sum("changes"))
        return Subquery(together.values("total"), output_field=models.BigIntegerField())


class ModelCards(models.QuerySet["ModelCard"]):
    def callable(self) -> "ModelCards":
        """Those that a call may go to; see ``ModelCard.why_not``."""
        return self.filter(active=True, unavailable="", price__isnull=False, provider__active=True)


class ModelCard(models.Model):
    """A model that a provider offers: its limits and its price."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="models")
    name = models.CharField(max_length=200, help_text="as the provider spells it")
    context_tokens = models.PositiveIntegerField(default=128_000)
    max_output_tokens = models.PositiveIntegerField(default=8_192)
    price = models.ForeignKey(Price, models.PROTECT, null=True, related_name="cards", help_text="none: no call")
    thinks = models.BooleanField(default=False, help_text="can be told how much to think before it answers")
    patches = models.BooleanField(
        default=False, help_text="changes files with `apply_patch`, whose format it was trained on, in place of `edit`"
    )
    refused_fields = models.JSONField(
        default=list,
        blank=True,
        editable=False,
        help_text="names of fields that its server refused: a request does without them, or gives them another name",
    )
    active = models.BooleanField(default=True, help_text="a person's switch")
    unavailable = models.CharField(max_length=200, blank=True, help_text="why the provider's list rules it out")

    objects = ModelCards.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "name"], name="model_card_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_rehearsal(self) -> bool:
        return self.provider.kind == Provider.Kind.REHEARSAL

    @property
    def why_not(self) -> str:
        """Why it cannot be called, in words; empty when it can."""
        if not self.provider.active:
            return f"{self.provider} is switched off"
        if not self.active:
            return "it is switched off"
        return self.unavailable or ("" if self.price else "nobody knows what it costs")
