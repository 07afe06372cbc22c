"""What the tests of the core share.

- `logs`: input logs of one partition as bytes, and the same for the oracle.
- `random_logs`: larger logs and policy files from a seed.
- `pipeline`: a partition processor fed as a worker feeds it, with cuts, a changelog and restarts, but no broker.
- `scene`: a partition told one event at a time, for tests by hand.
"""
