"""Queries in names: parts of a package, as porchctl and user interfaces of newer Porch ask for them."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.content.refusals import ApiError
from porchflow.content.serving.name_queries import Selection, is_partial, selection_of
from tests.content.test_pushing import PRR, Client
from tests.content.world import FILES, KPTFILE, Packages
from tests.servers.control_plane import ControlPlane

served = pytest.mark.usefixtures("content_api")


@pytest.fixture
def client(control_plane: ControlPlane, packages: Packages) -> Client:
    return Client(control_plane, packages)


@pytest.mark.parametrize(
    ("query", "selection"),
    [
        ("", Selection()),
        ("path-only", Selection(names_only=True)),
        ("path-only=", Selection(names_only=True)),
        ("partial=true", Selection()),
        ("file=a", Selection(frozenset({"a"}))),
        ("file=a&file=b/c", Selection(frozenset({"a", "b/c"}))),
        ("file=a:b:c", Selection(frozenset({"a/b/c"}))),
        (r"file=a\:b\\c", Selection(frozenset({"a:b\\c"}))),
        ("file=a+b%2Bc", Selection(frozenset({"a b+c"}))),
        ("file=", Selection(frozenset({""}))),
        ("file=a&path-only", Selection(frozenset({"a"}), names_only=True)),
        ("file=n%C3%A4h", Selection(frozenset({"näh"}))),
    ],
)
def test_what_a_get_asks_for(query: str, selection: Selection) -> None:
    assert selection_of(query) == selection


@given(st.sets(st.text(min_size=1, max_size=20)))
def test_every_path_can_be_asked_for(paths: set[str]) -> None:
    escaped = [path.replace("\\", r"\\").replace(":", r"\:").replace("/", ":") for path in sorted(paths)]
    query = "&".join(f"file={quote(path, safe='')}" for path in escaped)
    assert selection_of(query) == Selection(frozenset(paths) if paths else None)


@pytest.mark.parametrize(
    ("query", "partial"),
    [
        *(("", False), ("partial=false", False), ("partial=0", False), ("partial=No", False)),
        *(
            ("partial", True),
            ("partial=true", True),
            ("partial=TRUE", True),
            ("partial=yes", True),
            ("partial=1", True),
        ),
    ],
)
def test_what_an_update_asks_for(query: str, partial: bool) -> None:
    assert is_partial(query) is partial


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("path-only=true", "has no value"),
        ("path-only&path-only", "has no value"),
        (r"file=a\b", "a backslash needs"),
        ("file=a\\", "a backslash needs"),
        ("file=%ff", "no UTF-8"),
        ("files=a", "'files' in the name of the object is unknown: there are path-only, file, partial"),
    ],
)
def test_a_get_with_an_odd_query_is_refused(query: str, told: str) -> None:
    with pytest.raises(ApiError, match=told) as refused:
        selection_of(query)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("partial=perhaps", "give true or false, once"),
        ("partial&partial", "give true or false, once"),
        ("file=a", "say what a get shows"),
        ("path-only", "say what a get shows"),
        ("whole", "is unknown: there are partial"),
    ],
)
def test_an_update_with_an_odd_query_is_refused(query: str, told: str) -> None:
    with pytest.raises(ApiError, match=told) as refused:
        is_partial(query)
    assert refused.value.code == 400


@served
async def test_names_alone(client: Client, packages: Packages) -> None:
    name, commit = await packages.draft()
    shown = await client.get(f"{name}?path-only")
    assert shown["metadata"]["name"] == name
    assert shown["metadata"]["resourceVersion"] == commit
    assert "resources" not in shown["spec"]
    assert shown["spec"]["resourcePaths"] == sorted(FILES)
    assert (await client.get(name))["spec"]["resources"] == FILES


@served
async def test_some_files(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    shown = await client.get(f"{name}?file=deploy:service.yaml&file=notes.txt")
    wanted = {path: FILES[path] for path in ("deploy/service.yaml", "notes.txt")}
    assert shown["spec"]["resources"] == wanted
    table = await client.kubectl("get", PRR, f"{name}?file=notes.txt")
    assert [line.split()[-1] for line in table.splitlines()] == ["FILES", "1"]
    told = await client.kubectl("get", "--raw", client.path(f"{name}%3Ffile=none.txt&path-only".replace("&", "%26")))
    warning, _, answer = told.rpartition("\n{")
    assert "the package has no file 'none.txt'" in warning or "none.txt" not in answer
    assert json.loads("{" + answer.lstrip("{"))["spec"]["resourcePaths"] == []


@served
async def test_names_with_odd_queries_are_bad_requests_and_others_are_not_found(
    client: Client, packages: Packages
) -> None:
    name, _ = await packages.draft()
    told = await client.kubectl("get", PRR, f"{name}?paths", check=False)
    assert "(BadRequest)" in told
    assert "'paths' in the name of the object is unknown" in told
    told = await client.kubectl("get", PRR, "blueprints.web.v9?path-only", check=False)
    assert '(NotFound): packagerevisionresources.porch.kpt.dev "blueprints.web.v9" not found' in told


async def push(client: Client, name: str, version: str, resources: dict[str, Any], check: bool = True) -> str:
    """Send what a client in Go sends for the name with its query: the object has it too."""
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha1",
        "kind": "PackageRevisionResources",
        "metadata": {"name": name, "namespace": client.packages.namespace, "resourceVersion": version},
        "spec": {"resources": resources},
    }
    path = client.path(name.replace("?", "%3F"))
    return await client.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body), check=check)


@served
async def test_a_partial_push_keeps_the_other_files_and_answers_with_its_own(
    client: Client, packages: Packages
) -> None:
    name, before = await packages.draft()
    answer = json.loads(
        await push(client, f"{name}?partial=true", before, {"new.yaml": "a: 1\n", "notes.txt": FILES["notes.txt"]})
    )
    assert answer["spec"]["resources"] == {"new.yaml": "a: 1\n"}
    assert answer["metadata"]["name"] == name
    assert answer["metadata"]["resourceVersion"] == await client.tip() != before
    assert (await client.get(name))["spec"]["resources"] == {**FILES, "new.yaml": "a: 1\n"}
    annotations = (await packages.object(name))["metadata"]["annotations"]
    assert annotations["porch.kpt.dev/render-request"] == await client.tip()


@served
async def test_a_partial_push_of_an_older_version_is_a_conflict(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    await push(client, f"{name}?partial=true", before, {"new.yaml": "a: 1\n"})
    told = await push(client, f"{name}?partial=true", before, {"other.yaml": "a: 1\n"}, check=False)
    assert "(Conflict)" in told
    told = await push(client, f"{name}?partial=perhaps", await client.tip(), {"x": ""}, check=False)
    assert "(BadRequest)" in told
    told = await push(client, f"{name}?partial=true", await client.tip(), {"../x": ""}, check=False)
    assert "(Invalid)" in told or "is invalid" in told


@served
async def test_without_partial_a_push_is_the_whole_package(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    await push(client, f"{name}?partial=false", before, {"Kptfile": KPTFILE})
    assert (await client.get(name))["spec"]["resources"] == {"Kptfile": KPTFILE}


@served
async def test_a_patch_of_a_partial_name_removes_files_too(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    patch = {"metadata": {"name": f"{name}?partial=true"}, "spec": {"resources": {"notes.txt": None, "b.txt": "b"}}}
    answer = json.loads(
        await client.kubectl(
            "patch", PRR, f"{name}?partial=true", "--type=merge", "-p", json.dumps(patch), "-o", "json"
        )
    )
    assert answer["spec"]["resources"] == {"b.txt": "b"}
    assert (await client.get(name))["spec"]["resources"].keys() == {"Kptfile", "deploy/service.yaml", "b.txt"}
