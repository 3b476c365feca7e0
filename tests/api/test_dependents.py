"""Dependents of package revisions, by what objects report."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.dependents import Dependency, dependencies_of, dependents_of, means, told_dependents, upstream_key

REPO = "https://git.example.com/blueprints.git"
WEB = {"repo": REPO, "directory": "web", "ref": "web/v1", "commit": "c1"}


def revision(
    package: str,
    number: int = 1,
    *,
    repository: str = "blueprints",
    lock: Any = None,
    parts: dict[str, Any] | None = None,
    latest: bool = True,
    **spec: Any,
) -> dict[str, Any]:
    """A published revision, or a draft with number 0."""
    ref = f"{package}/v{number}" if number else f"drafts/{package}/w"
    return {
        "metadata": {
            "name": f"{repository}.{package}.v{number}",
            "labels": {"porch.kpt.dev/latest-revision": str(latest and number > 0).lower()},
        },
        "spec": {
            "repository": repository,
            "packageName": package,
            "lifecycle": "Published" if number else "Draft",
            "source": {"init": {}},
            **spec,
        },
        "status": {
            "creationSource": "init",
            **({"revision": number} if number else {}),
            "selfLock": {"git": {"repo": REPO, "directory": package, "ref": ref, "commit": "c1"}},
            **({"upstreamLock": {"type": "git", "git": lock}} if lock else {}),
            **(
                {"subpackageUpstreams": [{"path": path, "upstream": {"git": git}} for path, git in parts.items()]}
                if parts
                else {}
            ),
        },
    }


UP = revision("web")
SHOP = "edge.shop.v1"


def found(*others: dict[str, Any], of: dict[str, Any] = UP) -> list[tuple[str, str]]:
    return [(each.name, each.path) for each in dependents_of(of, [of, *others])]


def shop(number: int = 1, **kwargs: Any) -> dict[str, Any]:
    return revision("shop", number, repository="edge", **kwargs)


DEPENDS = {
    "its clone": shop(lock=WEB),
    "its clone, a draft": shop(0, lock=WEB),
    "another spelling of the address": shop(lock={**WEB, "repo": "https://git.example.com/blueprints/"}),
    "with a leading slash": shop(lock={**WEB, "directory": "/web"}),
    "of another commit of the same ref": shop(lock={**WEB, "commit": "c2"}),
    "of a subpackage": shop(parts={"db": WEB}),
    "a clone that is still to be made": {**shop(0), "status": {}}
    | {"spec": {**shop(0)["spec"], "source": {"cloneFrom": {"upstreamRef": {"name": "blueprints.web.v1"}}}}},
    "an upgrade that is still to be made": {**shop(0), "status": {}}
    | {"spec": {**shop(0)["spec"], "source": {"upgrade": {"oldUpstream": {"name": "blueprints.web.v1"}}}}},
    "an operation that is still to be done": shop(
        0,
        subpackageOperation={"subpackageDir": "x", "cloneFrom": {"upstreamRef": {"name": "blueprints.web.v1"}}},
    ),
}


@pytest.mark.parametrize("case", DEPENDS)
def test_a_dependent_is_found(case: str) -> None:
    assert len(found(DEPENDS[case])) == 1


DOES_NOT = {
    "another ref": shop(lock={**WEB, "ref": "web/v2"}),
    "another repository": shop(lock={**WEB, "repo": "https://git.example.com/others"}),
    "another directory of a branch": shop(lock={**WEB, "directory": "db", "ref": "main"}),
    "no upstream": shop(),
    "a copy": {**revision("web", 0), "status": {}}
    | {"spec": {**revision("web", 0)["spec"], "source": {"copyFrom": {"name": "blueprints.web.v1"}}}},
    "a copy that was made, of a clone of itself": revision("web", 2, lock=WEB),
    "an upgrade of it": {**revision("web", 0), "status": {}}
    | {
        "spec": {**revision("web", 0)["spec"], "source": {"upgrade": {"currentPackage": {"name": "blueprints.web.v1"}}}}
    },
    "a clone that was made from it, and upgraded since": shop(
        lock={**WEB, "ref": "web/v2"}, source={"cloneFrom": {"upstreamRef": {"name": "blueprints.web.v1"}}}
    ),
}


@pytest.mark.parametrize("case", DOES_NOT)
def test_what_does_not_depend_is_not_found(case: str) -> None:
    assert found(DOES_NOT[case]) == []


def test_older_revisions_of_a_dependent_do_not_hold_its_upstream() -> None:
    first, second = shop(latest=False, lock=WEB), shop(2, lock={**WEB, "ref": "web/v2"})
    assert found(first) == [(SHOP, "")]
    assert found(first, second) == []
    assert found(first, shop(0, lock=WEB), second) == [("edge.shop.v0", "")]
    going = {**second, "metadata": {**second["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert found(first, going) == [(SHOP, "")], "it will be the latest again"


def test_porch_writes_locks_without_the_directory_of_the_repository() -> None:
    up = revision("web")
    up["status"]["selfLock"]["git"] |= {"directory": "web", "ref": "base/web/v1"}
    assert found(shop(lock={**WEB, "directory": "base/web", "ref": "base/web/v1"}), of=up) == [(SHOP, "")]


def test_a_branch_is_an_upstream_of_what_was_taken_from_it() -> None:
    up = revision("web", -1)
    up["status"]["selfLock"]["git"]["ref"] = "main"
    assert found(shop(lock={**WEB, "ref": "main"}), of=up) == [(SHOP, "")]


def test_the_upstreams_of_a_package_and_of_its_parts() -> None:
    obj = shop(lock=WEB, parts={"b": {**WEB, "ref": "web/v2"}, "a": WEB})
    assert [(each.path, each.ref) for each in dependencies_of(obj)] == [
        ("", "web/v1"),
        ("a", "web/v1"),
        ("b", "web/v2"),
    ]
    assert upstream_key(WEB) == f"{REPO}|web|web/v1"


def test_of_many_dependents_some_are_told() -> None:
    dependents = dependents_of(UP, [revision(f"p{n:02}", repository="edge", lock=WEB) for n in range(13)])
    assert told_dependents(dependents).startswith("edge.p00.v1, edge.p01.v1, ")
    assert told_dependents(dependents).endswith("edge.p09.v1 and 3 more")


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_nothing_is_its_own_dependent(repo: str, directory: str, ref: str) -> None:
    lock = {"repo": repo, "directory": directory, "ref": ref}
    obj = revision("web", lock=lock)
    obj["status"]["selfLock"]["git"] |= lock
    assert found(of=obj) == []
    means(Dependency("", repo, directory, ref), obj)
