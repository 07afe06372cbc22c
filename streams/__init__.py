"""Flagged Products: live visibility flags for marketplace products, computed by Faust on Kafka."""

__version__ = "0.1.0"
