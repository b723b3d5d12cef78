from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q

AMOUNTS: Final = (
    "input_nanousd_per_mtok",
    "output_nanousd_per_mtok",
    "cache_read_nanousd_per_mtok",
    "cache_write_nanousd_per_mtok",
    "request_nanousd",
)


class Tariff(models.Model):
    """Amounts in nano-dollars per million tokens, and per request. None: as other input."""

    input_nanousd_per_mtok = models.BigIntegerField()
    output_nanousd_per_mtok = models.BigIntegerField()
    cache_read_nanousd_per_mtok = models.BigIntegerField(null=True, blank=True)
    cache_write_nanousd_per_mtok = models.BigIntegerField(null=True, blank=True)
    request_nanousd = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def amounts(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in AMOUNTS}


class Price(Tariff):
    """What a provider lists for a model by now, or listed last. Unknown price means no call."""

    provider = models.CharField(max_length=100, help_text="name of the endpoint, as in openrouter")
    model = models.CharField(max_length=200)
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


class PriceVersion(Tariff):
    """What a price was, from when until when. Never changed but for its end, which is written once."""

    price = models.ForeignKey(Price, models.PROTECT, related_name="versions")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, help_text="empty: it is the price now")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="empty: the provider's list"
    )

    class Meta:
        ordering = ["-valid_from", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["price"], condition=Q(valid_until__isnull=True), name="price_version_one_now"
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=F("valid_from")),
                name="price_version_ends_after_it_began",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.price} from {self.valid_from:%Y-%m-%d}"
