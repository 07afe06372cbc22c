"""The OpenAPI document: `python -m streams.web.openapi > schemas/openapi.json`."""

from __future__ import annotations

import json
import sys

from streams.web.app import make_web_app


def openapi_document() -> str:
    """The document as it is kept in schemas/; a test holds it to the app."""
    return json.dumps(make_web_app(None).openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
