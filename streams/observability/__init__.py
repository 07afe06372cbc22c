"""What operators see: metrics, health, logs, and the pages that serve them."""
