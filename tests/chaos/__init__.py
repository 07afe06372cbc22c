"""Faults on real processes and a real broker (SPEC section 9)."""
