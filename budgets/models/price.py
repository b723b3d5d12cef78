from django.db import models
from django.db.models import Q


class Price(models.Model):
    """What a provider lists for a model, in nano-dollars per million tokens. Unknown price means no call."""

    provider = models.CharField(max_length=100, help_text="name of the endpoint, as in openrouter")
    model = models.CharField(max_length=200)
    input_nanousd_per_mtok = models.BigIntegerField()
    output_nanousd_per_mtok = models.BigIntegerField()
    cache_read_nanousd_per_mtok = models.BigIntegerField(null=True, blank=True)
    cache_write_nanousd_per_mtok = models.BigIntegerField(null=True, blank=True)
    request_nanousd = models.BigIntegerField(default=0)
    slack_ppm = models.PositiveBigIntegerField(
        default=1_000_000,
        help_text="holds by list prices, in millionths: raised by calls that cost more",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="price_once_per_model"),
            models.CheckConstraint(
                condition=Q(input_nanousd_per_mtok__gte=0, output_nanousd_per_mtok__gte=0, request_nanousd__gte=0),
                name="price_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cache_read_nanousd_per_mtok__isnull=True) | Q(cache_read_nanousd_per_mtok__gte=0),
                name="price_cache_read_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cache_write_nanousd_per_mtok__isnull=True) | Q(cache_write_nanousd_per_mtok__gte=0),
                name="price_cache_write_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"
