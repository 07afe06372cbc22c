"""Receives the notifier's webhooks: checks who sent them, tells copies, and keeps to the order of a product.

    WEBHOOK_SECRET=whsec_... python docs/examples/receiver.py 8088

What is remembered here in memory belongs into your database, in one transaction with what you make of the event.
"""

# ruff: noqa: T201 - its output is for the terminal
import json
import os
import sys
import time

from aiohttp import web

from streams.clients.webhooks import BadSignature, verify

SECRET = os.environ["WEBHOOK_SECRET"]
last_sequences: dict[str, int] = {}


async def hook(request: web.Request) -> web.Response:
    """204 once it is safe; 401 for a stranger."""
    body = await request.read()  # the bytes as they came: the signature is over these
    try:
        verify(request.headers, body, SECRET, time.time())
    except BadSignature as error:
        return web.Response(status=401, text=str(error))
    event = json.loads(body)
    # A copy, or one that was sent again after it had been given up: what is known is newer already.
    if event["sequence"] > last_sequences.get(event["product_id"], 0):
        last_sequences[event["product_id"]] = event["sequence"]
        print(f"{event['product_id']} is {event['current_status']}", flush=True)
    return web.Response(status=204)


app = web.Application()
app.router.add_post("/hook", hook)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
