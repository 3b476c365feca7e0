import pytest

from porchflow.watcher.indexes.places import Places, heard_place
from tests.watcher.objects import repository


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://git.example.com/a/b", "https://git.example.com/a/b.git"),
        ("https://git.example.com/a/b", "https://me:word@GIT.example.com:443/A/b/"),
        ("git@git.example.com:a/b.git", "ssh://git@git.example.com/a/b"),
        ("ssh://git.example.com:22/a/b", "git.example.com:a/b"),
    ],
)
def test_the_same_place(one: str, other: str) -> None:
    assert heard_place(one) == heard_place(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://git.example.com/a/b", "https://git.example.com/a/c"),
        ("https://git.example.com/a/b", "https://git.example.com:8443/a/b"),
        ("https://git.example.com/a/b", "ssh://git.example.com/a/b"),
        ("https://git.example.com/a/b", "https://other.example.com/a/b"),
    ],
)
def test_another_place(one: str, other: str) -> None:
    assert heard_place(one) != heard_place(other)


def test_no_place() -> None:
    assert heard_place("nothing") is None


def test_who_is_concerned() -> None:
    places = Places()
    places.note(repository("ns", "main"))
    places.note(repository("ns", "stable", branch="stable"))
    addresses = ["https://elsewhere.example/x", "https://git.example/packages"]

    def concerned(ref: str) -> list[str]:
        return [name for _, name in places.concerned(addresses, ref)]

    assert concerned("refs/heads/main") == ["main"]
    assert concerned("refs/heads/stable") == ["stable"]
    for folder in ("heads/drafts", "heads/proposed", "heads/deletionProposed", "tags"):
        assert concerned(f"refs/{folder}/a/v1") == ["main", "stable"]
    assert concerned("refs/heads/feature") == concerned("refs/pull/1/head") == []
    places.forget(("ns", "main"))
    assert concerned("refs/tags/a/v1") == ["stable"]
    moved = repository("ns", "stable")
    moved["spec"]["git"]["repo"] = "https://git.example/others"
    places.note(moved)
    assert concerned("refs/tags/a/v1") == []
    places.forget(("ns", "stable"))
    assert vars(places) == vars(Places()), "nothing is kept of what is gone"
