from django.db import models

from budgets.models import Price


class Provider(models.Model):
    """An OpenAI-compatible endpoint. The key itself stays in the environment; the row names the variable."""

    class Kind(models.TextChoices):
        OPENROUTER = "openrouter"
        OPENAI_COMPATIBLE = "openai_compatible", "OpenAI-compatible"
        REHEARSAL = "rehearsal"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    base_url = models.URLField(blank=True)
    key_setting = models.CharField(max_length=100, blank=True, help_text="environment variable that holds the API key")
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class ModelCard(models.Model):
    """A model that a provider offers: its limits and its price."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="models")
    name = models.CharField(max_length=200, help_text="as the provider spells it")
    context_tokens = models.PositiveIntegerField(default=128_000)
    max_output_tokens = models.PositiveIntegerField(default=8_192)
    price = models.ForeignKey(Price, models.PROTECT, related_name="+")
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "name"], name="model_card_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_rehearsal(self) -> bool:
        return self.provider.kind == Provider.Kind.REHEARSAL
