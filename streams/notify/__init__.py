"""The notifier: queues transitions in a database, and delivers each to the webhooks that want it.

topic -> intake -> database -> a lane per webhook -> HTTP
"""
