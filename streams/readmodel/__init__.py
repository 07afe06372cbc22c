"""The read model: what the workers publish, in a database that the seller's page and its API read."""
