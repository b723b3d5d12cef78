from collections.abc import Collection
from decimal import Decimal
from typing import Any

from django import forms

from budgets import periods
from budgets.models import Limit
from budgets.services.accounts import HIGHEST_NANOUSD
from mcc.core.money import NANOUSD, nanousd, usd

HIGHEST_USD = usd(HIGHEST_NANOUSD)
PERIODS = [
    (Limit.Period.DAILY, "a day"),
    (Limit.Period.WEEKLY, "a week"),
    (Limit.Period.MONTHLY, "a month"),
    (Limit.Period.TOTAL, "in all"),
]
ACTIONS = [(Limit.Action.BLOCK, "Stop the agents"), (Limit.Action.WARN, "Only tell me")]


class LimitForm(forms.Form):
    """What an account may spend in a period."""

    amount_usd = forms.DecimalField(
        label="Amount in $",
        min_value=0,
        max_value=HIGHEST_USD,
        decimal_places=9,
        widget=forms.NumberInput({"step": "any"}),
    )
    period = forms.ChoiceField(label="Every", choices=PERIODS)
    warn_percent = forms.IntegerField(label="Warn at %", min_value=1, max_value=100, initial=80)
    action = forms.ChoiceField(label="When it is used up", choices=ACTIONS)

    def __init__(self, *args: Any, taken: Collection[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 (Django's)
        """``taken``: for what there is a limit already, which a new one must not replace unasked."""
        super().__init__(*args, **kwargs)
        period = self.fields["period"]
        period.choices = [choice for choice in PERIODS if choice[0] not in taken]  # type: ignore[attr-defined]
        period.error_messages["invalid_choice"] = "There is such a limit already: change it where it stands."
        self.fields["amount_usd"].help_text = f"Days begin at midnight {periods.zone_words()}, weeks on Monday."

    @classmethod
    def of(cls, limit: Limit) -> "LimitForm":
        """Return the form filled with ``limit``, for changing it."""
        amount = (Decimal(limit.amount_nanousd) / NANOUSD).normalize()
        return cls(
            initial={
                "amount_usd": f"{amount:f}",
                "period": limit.period,
                "warn_percent": int(limit.warn_ratio * 100),
                "action": limit.action,
            },
            prefix=f"limit-{limit.pk}",
        )

    @property
    def amount_nanousd(self) -> int:
        return nanousd(self.cleaned_data["amount_usd"])

    @property
    def warn_ratio(self) -> Decimal:
        return Decimal(self.cleaned_data["warn_percent"]) / 100
