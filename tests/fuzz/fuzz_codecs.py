"""Fuzz a codec, led by coverage: `python tests/fuzz/fuzz_codecs.py inputs|rows|meta [libFuzzer options]`.

It runs until it finds an input that fails a check of `tests.core.codec_checks`, crashes, or takes longer than
`-timeout`, and leaves that input in a file. See README.md.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

# Run as a program, as fuzzers are, only its own folder is searched.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    atheris: Any = import_module("atheris")
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["streams"]) if atheris else nullcontext():
    from tests.core.codec_targets import TARGETS

TIMEOUT_S = 10
MEMORY_MAX_MB = 1024


def main(arguments: list[str]) -> int:
    """Fuzz the target named first, with the other arguments as libFuzzer's."""
    if not arguments or arguments[0] not in TARGETS:
        print(f"usage: fuzz_codecs.py {'|'.join(TARGETS)} [libFuzzer options]", file=sys.stderr)
        return 2
    if atheris is None:
        print("fuzzing needs atheris, which is not installed: python -m pip install atheris", file=sys.stderr)
        return 2
    target = TARGETS[arguments[0]]

    def run(data: bytes) -> None:
        if data:
            target.run(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds()):
            (Path(corpus) / f"seed-{number:04d}").write_bytes(seed)
        limits = [f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MAX_MB}"]
        atheris.Setup([sys.argv[0], *limits, *arguments[1:], corpus], run)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
