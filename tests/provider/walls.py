"""The limit that a management key sets on the key that calls models."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tests.provider.books import Books

HASH = "f01d52606dc8f0a8303a7b5cc3fa07109c2e346cec7c0a16b40de462992ce943"
LABEL = "sk-or-v1-0e6...c96"


@dataclass
class Wall:
    """What the key may spend until it begins anew; None: anything."""

    limit: Decimal | None = None
    resets: str | None = None

    def left(self, books: Books) -> Decimal | None:
        return None if self.limit is None else max(Decimal(0), self.limit - books.usage_usd(self._begin(books)))

    def is_reached(self, books: Books) -> bool:
        return self.left(books) == 0

    def _begin(self, books: Books) -> datetime:
        today = books.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "daily": today,
            "weekly": today - timedelta(days=today.weekday()),
            "monthly": today.replace(day=1),
        }.get(self.resets or "", datetime.min.replace(tzinfo=today.tzinfo))
