"""Where Review leads in a demo: in a marketplace, the seller centre's own page stands there."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

PATH = "/demo/review"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Review {metric}</title>
<link rel="stylesheet" href="/static/app.css">
<main style="max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1>Here your seller centre takes over</h1>
<p>For <strong>{product_id}</strong>, the page where <strong>{metric}</strong> is mended would open: the orders to
ship, the stock to correct, or the shipping template to change. Its address comes from the policy's
<code>review_url</code>.</p>
<p>This is a demo: close this page, and watch the product recover.</p>
</main>
"""

router = APIRouter(include_in_schema=False)


@router.get(PATH)
def review(product_id: str = "", metric: str = "") -> HTMLResponse:
    """A page that stands for the seller centre's."""
    return HTMLResponse(_PAGE.format(product_id=escape(product_id), metric=escape(metric)))
