"""docs/SETTINGS.md, made from `streams.settings`: `python -m streams.settings_docs > docs/SETTINGS.md`."""

from __future__ import annotations

import sys

from streams.settings import OTHER_VARIABLES, SettingInfo, setting_infos

_HEAD = """\
# Settings
Made by `python -m streams.settings_docs > docs/SETTINGS.md`; a test keeps it true.

Each setting comes from a command-line option where there is one, else from the environment, else from a TOML file
(`--config FILE` or `FLAGGED_CONFIG`; the keys at the top level), else from its default. An empty variable counts as
not given. A path in the file is taken from the file's directory. An unknown name and a bad value stop the program
with exit code 2 and a message that says what is valid. Durations are text: `"50ms"`, `"1s"`, `"90m"`, `"6h"`, `"30d"`.

```toml
broker = "kafka-1:9092,kafka-2:9092"
replication_factor = 3
policy_file = "policies.toml"
```

| name | environment | default | meaning | give |
|---|---|---|---|---|
"""

_OTHER_HEAD = """
Read from the environment only:

| environment | meaning |
|---|---|
"""


def _row(info: SettingInfo) -> str:
    default = info.shown(info.default)
    shown = "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    valid = info.valid.replace("|", "\\|")
    return f"| `{info.key}` | `{info.env}` | {shown} | {info.meaning} | {valid} |\n"


def settings_table() -> str:
    """The whole page: TOML key, variable, default, meaning and valid values of every setting."""
    others = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in OTHER_VARIABLES.items())
    return _HEAD + "".join(map(_row, setting_infos())) + _OTHER_HEAD + others


if __name__ == "__main__":
    sys.stdout.write(settings_table())
