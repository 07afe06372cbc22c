"""For tests, demos and benchmarks: a simulated market, bad records, and Hypothesis strategies.

- `market`: `Market`, the events of some weeks of a marketplace, from a seed.
- `records`: `SimulatedRecord`, and its form as a line of JSON.
- `bad`: one bad record for each refusal of SPEC section 3.
- `strategies`: small, adversarial histories and policies (needs Hypothesis).
"""
