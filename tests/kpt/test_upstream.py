"""What a package made from another says of itself."""

import pytest

from porchflow.kpt.format.init import init_package
from porchflow.kpt.format.kptfile import parse
from porchflow.kpt.format.upstream import GitUpstream, downstream_files, upstream_lock
from porchflow.kpt.package_errors import InvalidPackage

UPSTREAM = GitUpstream("https://git.example/catalog", "/apps/web", "v1", "c" * 40)

KPTFILE = """\
# Licence: none.

apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: web   # the name
upstream:
  type: git
  git: {repo: https://git.example/older.git, directory: /, ref: v0}
  updateStrategy: fast-forward
pipeline:
  mutators:
    - image: set-namespace:v0.4.5   # and a comment
"""

CONTEXT = """\
# The context.
apiVersion: v1
kind: ConfigMap
metadata:
  name: kptfile.kpt.dev
data:
  name: 'web'   # quoted
  package-path: a/b
"""


def downstream(kptfile: str = KPTFILE, *, keeps_strategy: bool = False, **files: str) -> dict[str, str]:
    given = {"Kptfile": kptfile, **{name.replace("_", "-") + ".yaml": text for name, text in files.items()}}
    changed = downstream_files(
        {path: text.encode() for path, text in given.items()}, "shop", UPSTREAM, keeps_strategy=keeps_strategy
    )
    return {path: data.decode() for path, data in changed.items()}


def test_the_kptfile_names_the_package_and_where_it_is_from() -> None:
    text = downstream()["Kptfile"]
    kptfile = parse(text)
    assert kptfile.name == "shop"
    assert kptfile.upstream is not None
    assert kptfile.upstream.model_dump() == {
        "type": "git",
        "git": {"repo": "https://git.example/catalog.git", "directory": "apps/web", "ref": "v1"},
        "update_strategy": "",
    }
    lock = upstream_lock(text.encode())
    assert lock is not None
    assert lock.model_dump() == kptfile.upstream.model_dump()["git"] | {"commit": "c" * 40}
    assert text.startswith("# Licence: none.\n\napiVersion: kpt.dev/v1\n")
    assert "  name: shop   # the name\n" in text
    assert text.count("\n    - image: set-namespace:v0.4.5   # and a comment\n") == 1


def test_an_upgrade_keeps_the_strategy_that_the_package_chose() -> None:
    upstream = parse(downstream(keeps_strategy=True)["Kptfile"]).upstream
    assert upstream is not None
    assert upstream.update_strategy == "fast-forward"


def test_what_says_it_all_already_does_not_change() -> None:
    once = downstream(package_context=CONTEXT)
    again = downstream(once["Kptfile"], package_context=once["package-context.yaml"])
    assert again == {}


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (CONTEXT, CONTEXT.replace("'web'", "'shop'")),
        (f"{CONTEXT}---\nkind: Other\n", f"{CONTEXT}---\nkind: Other\n".replace("'web'", "'shop'")),
        (CONTEXT.replace("kptfile.kpt.dev", "mine"), None),
        (CONTEXT.replace("ConfigMap", "Secret"), None),
        ("just text\n", None),
        ("", None),
        ("a: [\n", None),
        ("data: {}\nkind: ConfigMap\n", None),
    ],
)
def test_the_package_context_names_the_package_and_nothing_else_is_touched(context: str, named: str | None) -> None:
    assert downstream(package_context=context).get("package-context.yaml") == named


def test_a_binary_package_context_stays() -> None:
    files = {"Kptfile": KPTFILE.encode(), "package-context.yaml": b"\xff\0"}
    assert "package-context.yaml" not in downstream_files(files, "shop", UPSTREAM)


def test_a_package_made_by_init_can_be_cloned() -> None:
    changed = downstream_files(init_package("web"), "shop", UPSTREAM)
    assert set(changed) == {"Kptfile", "package-context.yaml"}
    assert parse(changed["Kptfile"].decode()).name == "shop"


@pytest.mark.parametrize(
    ("kptfile", "words"),
    [
        ("a: [", "error reading Kptfile"),
        ("kind: Kptfile\n", "unknown resource type"),
        (KPTFILE + "more: true\n", "field more not found"),
        ("", "must be a mapping"),
    ],
)
def test_a_kptfile_that_cannot_be_read_is_refused(kptfile: str, words: str) -> None:
    with pytest.raises(InvalidPackage, match=words):
        downstream(kptfile)
    assert upstream_lock(kptfile.encode()) is None


def test_a_directory_without_a_kptfile_is_no_package() -> None:
    with pytest.raises(InvalidPackage, match="no package"):
        downstream_files({}, "shop", UPSTREAM)
    assert upstream_lock(b"\xff") is None


@pytest.mark.parametrize("end", ["", "/", ".git", ".git/"])
def test_all_spellings_of_an_upstream_are_written_as_one(end: str) -> None:
    assert (
        GitUpstream(f"https://git.example/catalog{end}", "/", "v1", "").place["repo"]
        == "https://git.example/catalog.git"
    )
