"""Fuzzes one target until the time is over or a fault is found: `python -m tests.fuzz.one_target NAME LIBFUZZER...`."""

import sys

import atheris

from tests.fuzz.targets import load


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["porchflow"]):
        target = load(name)
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
