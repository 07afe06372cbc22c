"""Golden changelogs: what a released version left in a partition, and what every later one must make of it.

- `changelog-vN.json`, `.input.jsonl`, `.transitions.jsonl`: the files of row version N, which never change.
- `changelog_file`: reads and writes them.
- `owner`: an owner of a partition without a broker.
- `make_changelog`: made the files of version 1; `make_changelog_v2` those of version 2.
"""
