"""What docs/guides/merge.md says is so."""

import re
from pathlib import Path

from porchflow.kpt.merge.generate import _schema_folders
from tests.kpt.merge.kpt_cases import CASES
from tests.kpt.merge.packages import package, update

TEXT = (Path(__file__).parents[3] / "docs" / "guides" / "merge.md").read_text(encoding="utf-8")
HEADER = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"


def test_the_example_comes_out_as_shown() -> None:
    found = re.search(r"```yaml\n(# old upstream.*?)```", TEXT, re.DOTALL)
    assert found is not None
    head, *lines = found[1].splitlines()
    starts = [match.start() for match in re.finditer("#", head)]
    columns = zip(starts, [*starts[1:], None], strict=True)
    base, upstream, local, result = (
        HEADER + "".join(f"{line[start:end].rstrip()}\n" for line in lines if line[start:end].strip())
        for start, end in columns
    )
    outcome = update(*(package(a_yaml=side.encode()) for side in (base, upstream, local)))
    assert outcome.files["a.yaml"].decode() == result
    assert outcome.conflicts == ()


def test_its_numbers_are_right() -> None:
    assert f"on {len(CASES)} packages" in TEXT
    versions = [folder.name.removeprefix("v").rpartition(".")[0] for folder in _schema_folders()]
    assert f"Kubernetes {versions[0]} to {versions[-1]}" in TEXT
