"""`make conformance` on a small repository of packages."""

import subprocess
from pathlib import Path

import pytest

from tests.conformance import packages
from tests.conformance.__main__ import main
from tests.kptfiles import kptfile_text

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c # the name\n"
SETTER = "ghcr.io/kptdev/krm-functions-catalog/apply-setters:v0.2"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one repository, whose packages have two versions."""
    repository = tmp_path / "catalog"
    repository.mkdir()
    git(repository, "init")
    _write(repository, "plain", "info: {}\n", "data: {a: b}\n")
    _write(repository, "with-setter", _mutator(SETTER), "data:\n  a: old # kpt-set: ${a}\n")
    _write(repository, "image-only", _mutator("example.com/any/tool:v1"), "data: {a: b}\n")
    _write(repository, "nested/outer", "info: {}\n", "data: {a: b}\n")
    _write(repository, "nested/outer/inner", "info: {}\n", "data: {a: b}\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-m", "one")
    for file in repository.glob("**/c.yaml"):
        file.write_text(file.read_text() + "# the end\nimmutable: true\n")
    _write(repository, "once", "info: {}\n", "data: {a: b}\n")
    (repository / "old").mkdir()
    (repository / "old" / "Kptfile").write_text("apiVersion: kpt.dev/v1alpha2\nkind: Kptfile\nmetadata: {name: old}\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-m", "two")
    return tmp_path


def _write(repository: Path, directory: str, more: str, data: str) -> None:
    place = repository / directory
    place.mkdir(parents=True, exist_ok=True)
    (place / "Kptfile").write_text(kptfile_text(place.name, more))
    (place / "c.yaml").write_text(HEAD + data)


def _mutator(image: str) -> str:
    return f"pipeline:\n  mutators:\n  - image: {image}\n    configMap: {{a: new}}\n"


def test_each_package_has_a_line_of_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}
    assert table.pop("package") == ["clone", "render", "upgrade"]
    del table["---"]
    old = table.pop("catalog/old")
    assert [cell.partition(":")[0] for cell in old] == ["refused", "refused", "-"]
    assert "migrate it to kpt.dev/v1" in old[0]
    tool = table.pop("catalog/image-only")
    assert (tool[0], tool[2]) == ("equal", "equal")
    assert tool[1].startswith("refused: package image-only: mutator")
    assert 'function "example.com/any/tool:v1" not found' in tool[1]
    assert table == {
        "catalog/nested/outer": ["equal", "equal", "equal"],
        "catalog/once": ["equal", "equal", "-"],
        "catalog/plain": ["equal", "equal", "equal"],
        "catalog/with-setter": ["equal", "equal", "equal"],
        "6 packages": ["5 equal, 1 refused", "4 equal, 2 refused", "2 -, 4 equal"],
    }


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        pytest.param(lambda text: text.replace("# the end\n", ""), "format only", id="a comment lost"),
        pytest.param(lambda text: text.replace("immutable: true", "immutable: false"), "differs", id="a wrong value"),
    ],
)
def test_what_an_upgrade_gets_wrong_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, spoil: object, word: str
) -> None:
    assert callable(spoil)
    right = packages.update_package

    def wrong(*arguments: object, **sides: object) -> packages.UpdateOutcome:
        outcome = right(*arguments, **sides)  # type: ignore[arg-type]  # as they came
        files = {
            path: spoil(file.decode()).encode() if path == "c.yaml" else file for path, file in outcome.files.items()
        }
        return packages.UpdateOutcome(files, outcome.conflicts)

    monkeypatch.setattr(packages, "update_package", wrong)
    assert main([str(folder)]) == 1
    out = capsys.readouterr().out
    assert f"| catalog/plain | equal | equal | {word}" in out


def test_a_folder_without_repositories_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (tmp_path, tmp_path / "none"):
        assert main([str(place)]) == 2
        said = f"{place} holds no Git repositories: clone some into it first\n"
        assert capsys.readouterr() == ("", said)
