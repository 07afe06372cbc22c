"""Clients for those downstream: ranking, notifications, and whoever else reads what the workers publish."""
