"""The policies that a process is to judge by."""

from __future__ import annotations

from streams.codecs.policy_file import load_policies
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.settings import Settings


def policies_of(settings: Settings) -> PolicySet:
    """The policies of the file that the settings name, or SPEC's default. Raises UserError for a bad file."""
    if settings.policy_file is None:
        return PolicySet((DEFAULT_POLICY,))
    return load_policies(settings.policy_file, settings.bucket_ms)
