"""Errors that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Bad configuration, a bad policy, an unreachable broker, a missing topic.

    The message says what is wrong and what to do; the program prints it and exits with code 2, without a traceback.
    """


class BrokerUnreachable(UserError):
    """No broker answers. A program that has just been started says so and ends; a worker at work waits."""


class LogCut(UserError):
    """A log ends before what was read of it or written to it: it was deleted and made anew, or the broker lost data."""
