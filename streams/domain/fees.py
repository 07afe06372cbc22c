"""Whether a shipping fee is high: an exact comparison of decimals as written (SPEC section 4)."""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

# Wide enough for the product of any two numbers that fit into one input event (64 KiB), so that nothing is rounded.
_EXACT = Context(prec=140_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def is_high(fee: Decimal, reference_fee: Decimal, high_fee_ratio: Decimal) -> bool:
    """fee > high_fee_ratio x reference_fee; 3.6 is not more than 1.2 x 3."""
    return fee > _EXACT.multiply(high_fee_ratio, reference_fee)
