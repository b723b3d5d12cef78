from collections.abc import Sequence
from decimal import Decimal

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.models import Agent
from budgets.services.accounts import HIGHEST_NANOUSD
from mcc.core import money
from mcc.core.errors import InvalidInput


@extend_schema_field(OpenApiTypes.DECIMAL)
class UsdField(serializers.Field):
    """Nano-dollars in the database, a decimal string in USD on the wire."""

    def to_representation(self, value: int) -> str:
        return money.usd_string(value)

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, (str, int)):
            raise serializers.ValidationError('Write amounts as decimal strings, as in "5.00".')
        try:
            amount = money.nanousd(data)
        except (InvalidInput, OverflowError) as error:
            raise serializers.ValidationError("This is not an amount in USD.") from error
        if not 0 <= amount <= HIGHEST_NANOUSD:
            raise serializers.ValidationError("The amount is out of range.")
        if money.usd(amount) != Decimal(data):
            raise serializers.ValidationError("Nine decimal places are the finest there are.")
        return amount


def shown(amount_nanousd: int) -> str:
    """Return an amount as the API writes it."""
    return money.usd_string(amount_nanousd)


def team_named(names: Sequence[str]) -> QuerySet[Agent]:
    """Return the agents with these names, all that are at work when there are none. Raises InvalidInput."""
    agents = Agent.objects.filter(active=True)
    if not names:
        return agents
    agents = agents.filter(name__in=names)
    if unknown := sorted(set(names) - set(agents.values_list("name", flat=True))):
        raise InvalidInput("No such agents.", fields={"team": [f"Unknown: {', '.join(unknown)}."]})
    return agents
