"""Errors that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Bad configuration, a bad policy, an unreachable broker, a missing topic.

    The message says what is wrong and what to do; the program prints it and exits with code 2, without a traceback.
    """
