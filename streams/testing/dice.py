"""Chance that rolls the same on every machine and every Python."""

from __future__ import annotations

from random import Random
from typing import Final, TypeVar

T = TypeVar("T")

# Dice of one seed but another stream are independent: a knob that rolls more often in one stream shifts no other.
STREAMS_PER_SEED: Final = 16


class Dice:
    """A seeded source of chance whose results never change.

    It is built on `random.Random.random` alone, the one sequence that Python promises to keep for a seed, and on
    arithmetic that IEEE 754 fixes to the bit: no logarithm and no power, whose last digit differs between C libraries.
    """

    __slots__ = ("roll",)

    def __init__(self, seed: int, stream: int = 0) -> None:
        """Dice of one `stream` (0 to 15) of a `seed` (not negative)."""
        assert seed >= 0 and 0 <= stream < STREAMS_PER_SEED
        self.roll = Random(seed * STREAMS_PER_SEED + stream).random
        """The next number, in [0, 1)."""

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.roll() < probability

    def between(self, least: int, most: int) -> int:
        """An integer from `least` to `most`, both included."""
        return least + int(self.roll() * (most - least + 1))

    def pick(self, choices: tuple[T, ...]) -> T:
        """One of the choices, all equally likely; a choice that is written twice is twice as likely."""
        return choices[int(self.roll() * len(choices))]

    def shuffle(self, items: list[T]) -> None:
        """Put the items in a random order, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.between(0, last)
            items[last], items[other] = items[other], items[last]

    def exponential(self) -> float:
        """A waiting time of mean 1, by von Neumann's method, which only compares and adds.

        A run of falling numbers ends at an odd length with the right probability for its first number to be kept;
        each refused run adds one to the whole part.
        """
        roll, whole = self.roll, 0
        while True:
            first = previous = roll()
            odd = True
            while (following := roll()) < previous:
                previous, odd = following, not odd
            if odd:
                return whole + first
            whole += 1
