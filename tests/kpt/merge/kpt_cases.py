"""Packages to compare our merge with kpt's.

`python -m tests.kpt.merge.kpt_cases` writes them for a program that runs kpt; `tests/kpt/data/merge/README.md` says how
kpt's answers were made.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from porchflow.yamltext.document import dump
from tests.kptfiles import kptfile

DATA = Path(__file__).parents[1] / "data" / "merge"


class Case(NamedTuple):
    """Three versions of a package, and how they are merged."""

    base: dict[str, str]
    upstream: dict[str, str]
    local: dict[str, str]
    strategy: str


def _side(files: dict[str, Any]) -> dict[str, str]:
    return {"Kptfile": kptfile().decode(), **{path: _text(content) for path, content in files.items()}}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "---\n".join(map(dump, content if isinstance(content, list) else [content]))


CASES = {
    each["case"]: Case(*(_side(each[name]) for name in Case._fields[:3]), each.get("strategy", "resource-merge"))
    for each in yaml.safe_load((DATA / "kpt_cases.yaml").read_text(encoding="utf-8"))
}

if __name__ == "__main__":
    json.dump({name: case._asdict() for name, case in CASES.items()}, sys.stdout, indent=1)
