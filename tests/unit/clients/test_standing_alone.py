"""A receiver may copy `webhooks.py`: it needs nothing but the standard library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from streams.clients import webhooks


def test_webhooks_imports_the_standard_library_only() -> None:
    assert webhooks.__file__ is not None
    for node in ast.walk(ast.parse(Path(webhooks.__file__).read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names, name
