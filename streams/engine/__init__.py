"""Partitions at work: merge, clock, cuts, recovery, and Faust's transport in whole batches."""
