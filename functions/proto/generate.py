"""Generator of the Python modules of `evaluator.proto`; with `--check` it only checks that they are up to date."""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_SOURCE = "porchflow/functions/proto/evaluator.proto"
_HEADER = "# Generated from evaluator.proto by `python -m porchflow.functions.proto.generate`. Do not edit.\n"


def generate() -> dict[str, str]:
    """Return the contents of the generated files by name."""
    with tempfile.TemporaryDirectory() as folder:
        # The path begins at the root, so that the generated modules import each other as a package.
        flags = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", f"-I{_ROOT}", *flags, str(_ROOT / _SOURCE)]) != 0:
            raise RuntimeError(f"protoc refused {_SOURCE}; its message is above")
        return {path.name: _HEADER + path.read_text() for path in sorted(Path(folder).rglob("*.py*"))}


def stale() -> list[str]:
    """Return names of the committed files that differ from what would be generated."""
    return [name for name, text in generate().items() if not _same(_HERE / name, text)]


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` print what is stale.

    Returns:
        The exit code: 1 if something is stale.
    """
    if arguments == ["--check"]:
        names = stale()
        for name in names:
            sys.stderr.write(f"functions/proto/{name} is stale: run `python -m porchflow.functions.proto.generate`\n")
        return 1 if names else 0
    for name, text in generate().items():
        (_HERE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
