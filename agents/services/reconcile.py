"""What a generation cost, from whoever can say: its response, the provider's record of it, or nobody."""

from agents import client
from agents.endpoint import Endpoint
from agents.meter import Metered
from agents.models import Provider
from budgets.models import Hold, Price, Usage
from budgets.services import pricing
from budgets.services.bill import Bill
from budgets.services.sweep import Released
from mcc.core.money import nanousd


def resolve(hold: Hold) -> Bill | Released | None:
    """Return what became of a call whose answer was lost; None: nobody can tell yet. Blocks. Raises ProviderError."""
    provider = Provider.objects.filter(name=hold.provider).first()
    if provider is None:
        return None
    endpoint = Endpoint.of(provider)
    if not hold.generation_id:
        # The rehearsal model bills nothing before its first chunk, and by then the name is written down.
        return Released("the rehearsal did not begin") if endpoint.is_rehearsal else None
    return look_up(endpoint, hold.generation_id) if endpoint.speaks_openrouter else None


def look_up(endpoint: Endpoint, generation_id: str) -> Bill | None:
    """Return the bill by the provider's record of the generation; None while it is not written. Blocks."""
    found = client.generation(endpoint, generation_id)
    if found is None or found.metered.cost_usd is None:
        return None
    return _bill(
        found.metered,
        generation_id=generation_id,
        model=found.model,
        provider=found.provider or endpoint.name,
        cost_nanousd=nanousd(found.metered.cost_usd),
        source=Usage.Source.GENERATION,
    )


def bill_of(metered: Metered, *, generation_id: str, model: str, provider: str, price: Price) -> Bill:
    """Return the bill by the ``usage`` of a response; the list price counts when it tells no cost."""
    bill = _bill(
        metered,
        generation_id=generation_id,
        model=model,
        provider=provider,
        cost_nanousd=0 if metered.cost_usd is None else nanousd(metered.cost_usd),
        source=Usage.Source.RESPONSE,
    )
    return pricing.bill_from_list(price, bill) if metered.cost_usd is None else bill


def _bill(
    metered: Metered, *, generation_id: str, model: str, provider: str, cost_nanousd: int, source: Usage.Source
) -> Bill:
    return Bill(
        generation_id=generation_id or None,
        model_used=model,
        provider=provider,
        input_tokens=metered.input_tokens,
        output_tokens=metered.output_tokens,
        cached_tokens=metered.cached_tokens,
        cache_write_tokens=metered.cache_write_tokens,
        reasoning_tokens=metered.reasoning_tokens,
        cost_nanousd=cost_nanousd,
        source=source,
    )
