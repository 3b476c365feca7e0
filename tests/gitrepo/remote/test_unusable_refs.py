"""Refs that mark no commit: left aside, named, and never in the way of the packages around them."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from porchflow.api.limits import TAGS_OF_TAGS
from porchflow.gitrepo.errors import GitNotFound, GitUnsupported
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import BasicAuth, Remote
from tests.gitrepo.conftest import ENVIRONMENT, PASSWORD, USER, Served, copy, init, location
from tests.gitrepo.steps import propose, propose_deletion, publish

MAIN = "main"


def annotated(served: Served, target: str, kind: str, name: str) -> str:
    text = f"object {target}\ntype {kind}\ntag {name}\ntagger a <a@b> 1 +0000\n\nx\n"
    return served.git("hash-object", "-t", "tag", "-w", "--stdin", stdin=text)


def unusable(served: Served, kind: str) -> str:
    """Make an object that is no commit, or one behind more tags than are followed."""
    blob = served.git("hash-object", "-w", "--stdin", stdin="a key")
    if kind == "blob":
        return blob
    if kind == "tree":
        return served.git("rev-parse", f"{MAIN}^{{tree}}")
    if kind == "tag of a blob":
        return annotated(served, blob, "blob", "x")
    target, target_kind = served.git("rev-parse", MAIN), "commit"
    for number in range(TAGS_OF_TAGS + 2):
        target, target_kind = annotated(served, target, target_kind, f"t{number}"), "tag"
    return target


KINDS = ["blob", "tree", "tag of a blob", "tags of tags"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["key", "v7", "second"])
async def test_a_package_goes_on_beside_a_tag_of_no_commit(
    ready: Served, store: GitStore, kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Copy, publish, deletion and the state: also where the tag has the name of a workspace or of a revision."""
    first = location("app", "first")
    await init(store, ready.remote, first)
    await propose(store, ready.remote, first)
    await publish(store, ready.remote, first)
    ready.git("update-ref", f"refs/tags/app/{name}", unusable(ready, kind))
    second = location("app", "second")
    await copy(store, ready.remote, second)
    await propose(store, ready.remote, second)
    state = await publish(store, ready.remote, second)
    assert ready.refs()[f"refs/tags/app/v{state.revision}"] == state.commit
    assert state.revision == (8 if name == "v7" else 2)
    assert (await store.state(ready.remote, MAIN, second)).revision == state.revision
    await propose_deletion(store, ready.remote, second)
    assert await store.delete(ready.remote, MAIN, second, revision=state.revision)
    survey = await store.survey(ready.remote, MAIN, "")
    assert {(each.package, each.workspace) for each in survey.discovery.revisions} == {
        ("app", "first"),
        ("app", "main"),
    }
    (problem,) = survey.discovery.problems
    assert problem.startswith(f"tag app/{name}: ")
    assert "is made again" not in caplog.text


@pytest.mark.parametrize("kind", ["blob", "tree", "tag of a blob"])
async def test_a_source_that_marks_no_commit_is_refused_by_name(ready: Served, store: GitStore, kind: str) -> None:
    ready.git("update-ref", "refs/tags/app/key", unusable(ready, kind))
    with pytest.raises(GitNotFound, match=r"app/key marks no commit: [0-9a-f]{40} is a (blob|tree), no commit"):
        await store.resolve(ready.remote, "app/key")


async def test_a_repository_with_other_objects_is_not_supported(served: Served, store: GitStore) -> None:
    bare = served.path.parent / "other.git"
    command = ["git", "init", "--quiet", "--bare", "--object-format=sha256", str(bare)]
    await asyncio.to_thread(subprocess.run, command, check=True, env=ENVIRONMENT)
    remote = Remote(served.server.repository_url(bare.name), BasicAuth(USER, PASSWORD))
    with pytest.raises(GitUnsupported, match="another format than SHA-1"):
        await store.ensure_branch(remote, MAIN, create_branch=True)


@pytest.fixture
def files_url(ready: Served) -> Iterator[str]:
    """The address of a server that serves the folder of the repositories as files."""
    ready.git("update-server-info")
    handler = partial(SimpleHTTPRequestHandler, directory=str(ready.path.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_server_of_files_is_not_supported(files_url: str, ready: Served, store: GitStore) -> None:
    with pytest.raises(GitUnsupported, match="the dumb HTTP protocol is not supported"):
        await store.list_refs(Remote(f"{files_url}/{ready.path.name}"))
