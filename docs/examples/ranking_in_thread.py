"""The same view for a program without an event loop, such as a WSGI application.

python docs/examples/ranking_in_thread.py P1 P2 P3
"""

# ruff: noqa: T201 - its output is for the terminal
import sys

from streams.clients.flag_status import FlagStatusView
from streams.settings_load import load_settings

with FlagStatusView.in_thread(load_settings()) as view:
    view.wait_ready(timeout_s=300)
    for product_id in sys.argv[1:]:
        print(product_id, view.visibility(product_id))
