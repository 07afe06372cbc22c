"""The seller's page and the API behind it."""
