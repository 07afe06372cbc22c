"""The line of each key of a TOML document."""

from __future__ import annotations

import tomllib
from typing import Any

from streams.codecs.toml_lines import key_lines

DOCUMENT = '''# [[not.a.table]]
top = "a # b" # comment
text = """first
[not.a.table]
last \\""" two quotes"""""
literal = \'\'\'
key = 1 \'\'\'
[[policy]]   # the first
version = "]"
metrics.late.n_min = 3
"quoted.key" . 'lit"eral' = {a = 1, b = [1,
  2, {c = "}", d.e = 5}], f = 2026-03-01 00:00:00Z }
  [policy.metrics.other]
  x = [
    # nothing
  ]
[[policy]]
[policy.metrics."\\u0041"]
k = 1
  [[policy.inner]]
  [[policy.inner]]
  z = +1_000.5e3
[other.deep]
y = true'''


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *paths(item, (*path, key)))]


def test_every_key_has_its_line() -> None:
    lines = key_lines(DOCUMENT)
    assert lines == {
        ("top",): 2,
        ("text",): 3,
        ("literal",): 6,
        ("policy",): 8,
        ("policy", 0): 8,
        ("policy", 0, "version"): 9,
        ("policy", 0, "metrics"): 10,
        ("policy", 0, "metrics", "late"): 10,
        ("policy", 0, "metrics", "late", "n_min"): 10,
        ("policy", 0, "quoted.key"): 11,
        ("policy", 0, "quoted.key", 'lit"eral'): 11,
        ("policy", 0, "quoted.key", 'lit"eral', "a"): 11,
        ("policy", 0, "quoted.key", 'lit"eral', "b"): 11,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 0): 11,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 1): 12,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 2): 12,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 2, "c"): 12,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 2, "d"): 12,
        ("policy", 0, "quoted.key", 'lit"eral', "b", 2, "d", "e"): 12,
        ("policy", 0, "quoted.key", 'lit"eral', "f"): 12,
        ("policy", 0, "metrics", "other"): 13,
        ("policy", 0, "metrics", "other", "x"): 14,
        ("policy", 1): 17,
        ("policy", 1, "metrics"): 18,
        ("policy", 1, "metrics", "A"): 18,
        ("policy", 1, "metrics", "A", "k"): 19,
        ("policy", 1, "inner"): 20,
        ("policy", 1, "inner", 0): 20,
        ("policy", 1, "inner", 1): 21,
        ("policy", 1, "inner", 1, "z"): 22,
        ("other",): 23,
        ("other", "deep"): 23,
        ("other", "deep", "y"): 24,
    }


def test_the_paths_are_those_of_the_parsed_document() -> None:
    assert set(key_lines(DOCUMENT)) == set(paths(tomllib.loads(DOCUMENT)))


def test_windows_line_ends_count_once() -> None:
    assert key_lines(DOCUMENT.replace("\n", "\r\n")) == key_lines(DOCUMENT)


def test_an_empty_document_has_no_keys() -> None:
    assert key_lines("") == {}
    assert key_lines("# only\n\n") == {}
