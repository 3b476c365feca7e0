"""Fuzzes all targets for some time: `make fuzz`, or `python -m tests.fuzz --seconds 600 yaml merge`.

What is found is written to `tests/fuzz/corpus/NAME/`, where a test runs it from then on. Mend the fault, and commit
both.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import NAMES

CORPUS = Path(__file__).parent / "corpus"
_ROOT = Path(__file__).parents[2]

_INPUT_SECONDS = 10
_MEMORY_MB = 1024
_LONGEST = 4096


def main() -> int:
    """Fuzz; returns how many targets have faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"Some of {', '.join(NAMES)} [default: all].")
    parser.add_argument("--seconds", type=int, default=300, help="Of all targets together [default: 300].")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in NAMES]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}: there are {', '.join(NAMES)}")
    if find_spec("atheris") is None:
        parser.error("atheris is not installed: it is there for Linux on x86-64, with Python before 3.14")
    names = arguments.targets or list(NAMES)
    seconds = max(1, arguments.seconds // len(names))
    return sum(_fuzz(name, seconds) for name in names)


def _fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own; returns whether a fault was found."""
    found, begin = CORPUS / name, time.monotonic()
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        grown = Path(folder) / "corpus"
        shutil.copytree(found, grown)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one_target", name, str(grown)),
                *(f"-max_total_time={seconds}", f"-timeout={_INPUT_SECONDS}", f"-rss_limit_mb={_MEMORY_MB}"),
                *(f"-max_len={_LONGEST}", f"-artifact_prefix={folder}/fault-", "-print_final_stats=1"),
            ],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        faults = sorted(Path(folder).glob("fault-*"))
        for fault in faults:
            shutil.copy(fault, found / fault.name.removeprefix("fault-"))
    runs = next(
        (line.rpartition(":")[2].strip() for line in done.stderr.splitlines() if "number_of_executed" in line), "?"
    )
    bad = bool(faults) or done.returncode != 0
    sys.stdout.write(f"{name:20} {runs:>9} inputs in {time.monotonic() - begin:5.0f} s  {'FAULT' if bad else 'none'}\n")
    if bad:
        sys.stdout.write(f"{done.stdout[-2000:]}{done.stderr[-3000:]}\nkept in {found}\n")
    sys.stdout.flush()
    return bad


if __name__ == "__main__":
    sys.exit(min(main(), 1))
