"""The API's document in schemas/ is that of the API."""

from __future__ import annotations

import json
from pathlib import Path

from streams.web.openapi import openapi_document

DOCUMENT = Path(__file__).parents[2] / "schemas" / "openapi.json"


def test_the_document_is_made_of_the_code() -> None:
    assert DOCUMENT.read_text() == openapi_document(), "run `make docs`, and look at what has changed for clients"


def test_every_operation_tells_of_its_problems() -> None:
    for path, operations in json.loads(DOCUMENT.read_text())["paths"].items():
        for operation in operations.values():
            assert operation["security"], path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
