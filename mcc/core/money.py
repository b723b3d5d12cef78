"""Money is whole nano-dollars (1e-9 USD) in a BigIntegerField: SQLite keeps decimals as floats.

A BigInteger holds up to 9.2 billion dollars. Holds are rounded up, costs half to even, once per call.
"""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal, InvalidOperation

from mcc.core.errors import InvalidInput

NANOUSD = 1_000_000_000
MTOK = 1_000_000
MOST_CHARACTERS, MOST_DIGITS = 60, 15


def nanousd(usd: Decimal | str | int) -> int:
    """Return ``usd`` dollars in nano-dollars, rounded half to even. Floats are refused: pass their ``repr``.

    Raises InvalidInput, for more digits than any amount has, too: whoever writes ``1e400000`` would have us compute it.
    """
    if isinstance(usd, str) and len(usd) > MOST_CHARACTERS:
        raise InvalidInput("not an amount of money: it is too long")
    try:
        amount = Decimal(usd)
        if not amount.is_finite() or amount.adjusted() > MOST_DIGITS:
            raise InvalidInput(f"not an amount of money: {usd!r}")
        return int((amount * NANOUSD).to_integral_value(ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError) as error:
        raise InvalidInput(f"not an amount of money: {usd!r}") from error


def nanousd_ceil(usd: Decimal | str | int) -> int:
    """Return ``usd`` dollars in nano-dollars, rounded up: for holds."""
    return int((Decimal(usd) * NANOUSD).to_integral_value(ROUND_CEILING))


def usd(amount_nanousd: int) -> Decimal:
    """Return nano-dollars as an exact Decimal of dollars."""
    return Decimal(amount_nanousd) / NANOUSD


def usd_string(amount_nanousd: int) -> str:
    """Return the exact decimal string of the API: ``0.0041``, never in exponents, at least two places."""
    text = f"{usd(amount_nanousd):.9f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def usd_display(amount_nanousd: int) -> str:
    """Return what people read: ``$18.42``; below ten cents four places, so that a cheap call is not ``$0.00``.

    What four places would call nothing is written out.
    """
    amount = abs(usd(amount_nanousd))
    sign = "-" if amount_nanousd < 0 else ""
    if 0 < amount < Decimal("0.0001"):
        return f"{sign}${usd_string(abs(amount_nanousd))}"
    places = 2 if amount == 0 or amount >= Decimal("0.1") else 4
    return f"{sign}${amount:,.{places}f}"
