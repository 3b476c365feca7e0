"""The Temporal UI as the place to look: what a person reads there, from the links in statuses.

The stack is that of `porchflow up`. Without a browser these tests are left out; `make test-browser` asks for one.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.api.models.conditions import raw_holding
from porchflow.cli.stack_state import StateFolder
from porchflow.devstack.demo.demo_repository import ensure_repository
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONRESOURCES, PACKAGEREVISIONS, REPOSITORIES, Resource
from tests.browser.webdriver import CHROMIUM, DRIVER, Browser, running_browser
from tests.devstack.test_stack import Cli
from tests.servers.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on PATH"),
    # The stack, a browser, and six pages.
    pytest.mark.timeout(400),
]

_LOADS = 4


@pytest.fixture
async def cli(tmp_path: Path, server_binaries: dict[str, Path]) -> AsyncIterator[Cli]:
    cli = Cli(StateFolder(tmp_path / "state"))
    yield cli
    cli.run("down")


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    (tmp_path / "browser").mkdir()
    async with running_browser(tmp_path / "browser") as browser:
        yield browser


def manifest(resource: Resource, name: str, spec: Object) -> Object:
    kinds = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kinds, "metadata": {"namespace": "default", "name": name}, "spec": spec}


def repository(url: str) -> Object:
    return {"type": "git", "git": {"repo": url, "branch": "main"}}


def draft(repository: str, package: str) -> Object:
    spec = {"repository": repository, "packageName": package, "workspaceName": "v1", "lifecycle": "Draft"}
    return manifest(PACKAGEREVISIONS, f"{repository}.{package}.v1", {**spec, "source": {"init": {}}})


async def reads(browser: Browser, url: str, *words: str) -> str:
    """Open a page and wait until it shows a match of each pattern; return what it shows."""
    shown = ""

    async def complete() -> bool:
        nonlocal shown
        shown = await browser.text()
        return all(re.search(word, shown) for word in words)

    # A page that asks a worker for the details, in vain, does not ask again.
    for _ in range(_LOADS - 1):
        await browser.open(url)
        with contextlib.suppress(AssertionError, TimeoutError):
            await eventually(complete, timeout=15, what="the page is complete")
            return shown
    await browser.open(url)
    await eventually(complete, timeout=15, what=f"{url} shows {json.dumps(words)}, not {shown!r}")
    return shown


async def test_a_person_finds_the_run_of_an_object_and_reads_why(cli: Cli, browser: Browser) -> None:
    record = cli.up()
    ensure_repository(cli.folder.git, record.git, "demo")
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:

        async def has(name: str, condition: str) -> str:
            """Wait for a condition; return the link to the run that reported it."""
            link = ""

            async def told() -> bool:
                nonlocal link
                found = await client.get(PACKAGEREVISIONS, "default", name)
                link = ((found.get("status") or {}).get("lastRun") or {}).get("url", "")
                return bool(raw_holding(found, condition)) and bool(link)

            await eventually(told, timeout=60, what=f"{name} is {condition}")
            return link

        await client.create(REPOSITORIES, manifest(REPOSITORIES, "demo", repository(f"{record.git}/demo.git")))
        # Nothing listens at this port, which is no one's to choose.
        await client.create(REPOSITORIES, manifest(REPOSITORIES, "away", repository("http://127.0.0.1:9/away.git")))
        for each in (draft("demo", "web"), draft("away", "web")):
            await client.create(PACKAGEREVISIONS, each)
        made, retried = await has("demo.web.v1", "Ready"), await has("away.web.v1", "Reconciling")

        details = await reads(
            browser, made.replace("/history", "/user-metadata"), "Current Details", r"took \d|nothing to do"
        )
        assert "local/packagerevision/default/demo.web.v1" in details
        assert "kubectl describe packagerevision demo.web.v1 --namespace default" in details

        await reads(browser, retried, "Running", "Next Retry", "execute_source")
        await reads(browser, retried.replace("/history", "/user-metadata"), "look at the Git server")

        patch = {"spec": {"resources": {"bad.yaml": "kind: [\n"}}}
        await client.merge_patch(PACKAGEREVISIONRESOURCES, "default", "demo.web.v1", patch)
        failed = await reads(browser, await has("demo.web.v1", "Stalled"), "Failed", "bad.yaml: line 2")
        assert "mend the package and push it again" in failed
        assert "site-packages" not in failed

        listed = await reads(browser, f"{record.ui}/namespaces/default/workflows", "away.web.v1", "demo.web.v1")
        assert "local/packagerevision/default/away.web.v1" in listed
