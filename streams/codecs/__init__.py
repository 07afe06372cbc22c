"""Bytes to domain values and back: input events, rows, outputs, dead letters, policy files."""
