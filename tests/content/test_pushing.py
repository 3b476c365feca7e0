"""Pushing content through the API server, as porchctl and kubectl do."""

import asyncio
import json
from typing import Any

import pytest

from tests.content.world import FILES, KPTFILE, Packages
from tests.servers.control_plane import ControlPlane

PRR = "packagerevisionresources.v1alpha1.porch.kpt.dev"
RENDER_REQUEST = "porch.kpt.dev/render-request"

pytestmark = pytest.mark.usefixtures("content_api")


class Client:
    """A client of the API server, in the namespace of the test's packages."""

    def __init__(self, plane: ControlPlane, packages: Packages) -> None:
        self.plane = plane
        self.packages = packages

    async def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return await self.plane.kubectl("-n", self.packages.namespace, *arguments, stdin=stdin, check=check)

    async def get(self, name: str) -> dict[str, Any]:
        return dict(json.loads(await self.kubectl("get", PRR, name, "-o", "json")))

    async def push(self, name: str, version: str, resources: dict[str, Any], check: bool = True, **spec: Any) -> str:
        """Send what porchctl sends: name, version and content."""
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha1",
            "kind": "PackageRevisionResources",
            "metadata": {"name": name, "namespace": self.packages.namespace, "resourceVersion": version},
            "spec": {"resources": resources, **spec},
        }
        return await self.kubectl("replace", "--raw", self.path(name), "-f", "-", stdin=json.dumps(body), check=check)

    def path(self, name: str) -> str:
        return f"/apis/porch.kpt.dev/v1alpha1/namespaces/{self.packages.namespace}/packagerevisionresources/{name}"

    async def tip(self) -> str:
        return await self.packages.tip("drafts/web/v1")

    async def read(self, path: str) -> str:
        # git as it is: `read` of the repository strips.
        return await asyncio.to_thread(self.packages.git.git, "show", f"drafts/web/v1:web/{path}")


@pytest.fixture
def client(control_plane: ControlPlane, packages: Packages) -> Client:
    return Client(control_plane, packages)


async def test_a_push_is_a_commit_and_asks_for_its_rendering(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    pushed = json.loads(await client.push(name, before, {"Kptfile": KPTFILE, "new.yaml": "a: 1\r\n# ü\n"}))
    tip = await client.tip()
    assert pushed["metadata"]["resourceVersion"] == tip != before
    assert pushed["spec"]["resources"] == {"Kptfile": KPTFILE, "new.yaml": "a: 1\r\n# ü\n"}
    assert pushed["status"]["renderStatus"]["error"] == ""
    git = packages.git.git
    assert await asyncio.to_thread(git, "ls-tree", "-r", "--name-only", tip, "web/") == "web/Kptfile\nweb/new.yaml"
    assert await asyncio.to_thread(git, "rev-list", "--parents", "-1", tip) == f"{tip} {before}"
    assert await asyncio.to_thread(git, "log", "-1", "--format=%an/%cn/%B", tip) == (
        "porchflow-admin/Package Orchestration Service/Changing package content\n\n\n"
        'kpt:{"package":"web","workspaceName":"v1","revision":"0","task":{"type":"patch"}}'
    )
    assert (await packages.object(name))["metadata"]["annotations"] == {RENDER_REQUEST: tip}


async def test_the_same_content_is_no_commit(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    answer = json.loads(await client.push(name, before, dict(FILES)))
    assert answer["metadata"]["resourceVersion"] == await client.tip() == before
    assert "annotations" not in (await packages.object(name))["metadata"]


async def test_a_push_for_an_older_version_is_a_conflict_that_says_what_to_do(
    client: Client, packages: Packages
) -> None:
    name, before = await packages.draft()
    await client.push(name, before, {"Kptfile": KPTFILE})
    tip = await client.tip()
    told = await client.push(name, before, {"Kptfile": KPTFILE, "late.yaml": ""}, check=False)
    assert told.startswith("Error from server (Conflict): Operation cannot be fulfilled on")
    assert f"its content is at {tip[:12]}, the change was made for {before[:12]}" in told
    assert "porchctl rpkg pull" in told
    assert await client.tip() == tip


async def test_a_repeated_push_is_the_same_push(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    first = json.loads(await client.push(name, before, {"Kptfile": KPTFILE}))
    again = json.loads(await client.push(name, before, {"Kptfile": KPTFILE}))
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"] == await client.tip()


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published", "DeletionProposed"])
async def test_only_a_draft_takes_content(client: Client, packages: Packages, lifecycle: str) -> None:
    commit = await packages.commit("drafts/web/v1", FILES)
    name = await packages.create("web", "v1", lifecycle)
    told = await client.push(name, commit, {"Kptfile": KPTFILE}, check=False)
    assert f'cannot update a package revision with lifecycle value "{lifecycle}"; package must be Draft' in told
    assert await client.tip() == commit


async def test_what_git_has_as_a_proposal_takes_no_content(client: Client, packages: Packages) -> None:
    name, commit = await packages.draft()
    git = packages.git.git
    await asyncio.to_thread(git, "update-ref", "refs/heads/proposed/web/v1", commit)
    await asyncio.to_thread(git, "update-ref", "-d", "refs/heads/drafts/web/v1")
    told = await client.push(name, commit, {"Kptfile": KPTFILE}, check=False)
    assert 'lifecycle value "Proposed"; package must be Draft: reject it first' in told


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({}, "package must contain Kptfile at root"),
        ({"a.yaml": ""}, "package must contain Kptfile at root"),
        ({"Kptfile": KPTFILE, "../../out": ""}, "spec.resources[../../out]"),
        ({"Kptfile": KPTFILE, "/etc/passwd": ""}, "spec.resources[/etc/passwd]"),
        ({"Kptfile": KPTFILE, ".git/hooks/x": ""}, "must not hold a part named .git"),
        ({"Kptfile": KPTFILE, "a//b": ""}, "spec.resources[a//b]"),
        ({"Kptfile": KPTFILE, "a\nb": ""}, "control character"),
        ({"Kptfile": KPTFILE, "a": "", "a/b": ""}, "is a file and a directory"),
        ({"Kptfile": KPTFILE, "a": 1}, "spec.resources[a]: has to be the file's text, not a number"),
        ({"Kptfile": KPTFILE, "a": "\ud800"}, "half of a surrogate pair"),
    ],
)
async def test_content_that_cannot_be_a_package_is_refused(
    client: Client, packages: Packages, resources: dict[str, Any], message: str
) -> None:
    name, before = await packages.draft()
    told = await client.push(name, before, resources, check=False)
    assert "is invalid: " in told
    assert message in told
    assert await client.tip() == before


@pytest.mark.parametrize("field", ["packageName", "workspaceName", "repository"])
async def test_the_identity_cannot_be_changed(client: Client, packages: Packages, field: str) -> None:
    name, before = await packages.draft()
    told = await client.push(name, before, {"Kptfile": KPTFILE}, check=False, **{field: "other"})
    assert f"spec.{field}: is immutable" in told
    assert await client.tip() == before


async def test_an_update_needs_a_version(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    told = await client.push(name, "", {"Kptfile": KPTFILE}, check=False)
    assert "metadata.resourceVersion: must be specified for an update" in told
    assert await client.tip() == before


async def test_files_that_text_cannot_show_stay_as_they_are(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()

    def add() -> str:
        git = packages.git.git
        blob = git("hash-object", "-w", "--stdin", stdin="#!/bin/sh\n")
        binary = packages.git.path / "binary"
        binary.write_bytes(b"\xff\xfe\x00")
        logo = git("hash-object", "-w", str(binary))
        link = git("hash-object", "-w", "--stdin", stdin="run.sh")
        files = [
            f"100644 blob {git('rev-parse', 'drafts/web/v1:web/Kptfile')}\tKptfile",
            f"100755 blob {blob}\trun.sh",
            f"100644 blob {logo}\tlogo.png",
            f"120000 blob {link}\tlink",
        ]
        package = git("mktree", stdin="\n".join(files) + "\n")
        root = git("mktree", stdin=f"040000 tree {package}\tweb\n")
        commit = git("commit-tree", root, "-p", "drafts/web/v1", "-m", "by hand")
        git("update-ref", "refs/heads/drafts/web/v1", commit)
        return commit

    before = await asyncio.to_thread(add)
    shown = await client.get(name)
    assert shown["metadata"]["annotations"] == {"porchflow.dev/hidden-files": '["link", "logo.png"]'}
    assert set(shown["spec"]["resources"]) == {"Kptfile", "run.sh"}
    await client.push(name, before, {"Kptfile": KPTFILE, "run.sh": "#!/bin/sh\nexit\n"})
    listed = await asyncio.to_thread(packages.git.git, "ls-tree", "drafts/web/v1:web")
    assert [line.split()[0] + " " + line.split("\t")[1] for line in listed.splitlines()] == [
        "100644 Kptfile",
        "120000 link",
        "100644 logo.png",
        "100755 run.sh",
    ]


async def test_five_thousand_files(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    resources = {"Kptfile": KPTFILE, **{f"d{n % 50}/f{n}.yaml": f"n: {n}\n" for n in range(5000)}}
    await client.push(name, before, resources)
    assert (await client.get(name))["spec"]["resources"] == resources


async def test_a_dry_run_checks_everything_and_changes_nothing(client: Client, packages: Packages) -> None:
    name, before = await packages.draft()
    shown = await client.get(name)
    shown["spec"]["resources"]["new.yaml"] = "a: 1\n"
    told = await client.kubectl("replace", "--dry-run=server", "-f", "-", stdin=json.dumps(shown), check=False)
    assert "replaced (server dry run)" in told
    assert await client.tip() == before
    del shown["spec"]["resources"]["Kptfile"]
    told = await client.kubectl("replace", "--dry-run=server", "-f", "-", stdin=json.dumps(shown), check=False)
    assert "package must contain Kptfile at root" in told


async def test_kubectl_edit_changes_one_file(client: Client, packages: Packages, tmp_path: Any) -> None:
    name, _ = await packages.draft()
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/näh/nah/" "$1"\n')
    editor.chmod(0o755)
    arguments = ["-n", packages.namespace, "edit", PRR, name]
    command = ["env", f"KUBE_EDITOR={editor}", "kubectl", f"--kubeconfig={client.plane.kubeconfig}", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-2)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert (await client.get(name))["spec"]["resources"] == {**FILES, "notes.txt": "nah\n"}


@pytest.mark.parametrize(
    ("kind", "patch", "expected"),
    [
        ("merge", {"spec": {"resources": {"notes.txt": None, "a": "1"}}}, {"a": "1", "notes.txt": None}),
        (
            "json",
            [{"op": "replace", "path": "/spec/resources/deploy~1service.yaml", "value": "x"}],
            {"deploy/service.yaml": "x"},
        ),
    ],
)
async def test_patches(
    client: Client, packages: Packages, kind: str, patch: Any, expected: dict[str, str | None]
) -> None:
    name, _ = await packages.draft()
    await client.kubectl("patch", PRR, name, f"--type={kind}", "-p", json.dumps(patch))
    wanted = {path: text for path, text in {**FILES, **expected}.items() if text is not None}
    shown = await client.get(name)
    assert shown["spec"]["resources"] == wanted
    assert shown["metadata"]["resourceVersion"] == await client.tip()


async def test_a_strategic_patch_is_unsupported(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    told = await client.kubectl("patch", PRR, name, "--type=strategic", "-p", "{}", check=False)
    assert "application/strategic-merge-patch+json is not supported" in told
    assert "application/merge-patch+json" in told


async def test_an_apply_sets_its_files_and_takes_others_by_force_only(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    manifest: dict[str, Any] = {
        "apiVersion": "porch.kpt.dev/v1alpha1",
        "kind": "PackageRevisionResources",
        "metadata": {"name": name},
        "spec": {"resources": {"new.txt": "new\n"}},
    }
    apply = ("apply", "--server-side", "-f", "-")
    await client.kubectl(*apply, stdin=json.dumps(manifest))
    assert (await client.get(name))["spec"]["resources"] == {**FILES, "new.txt": "new\n"}
    manifest["spec"]["resources"] = {"notes.txt": "mine\n"}
    told = await client.kubectl(*apply, stdin=json.dumps(manifest), check=False)
    assert "conflict" in told
    assert "notes.txt has other content" in told
    await client.kubectl(*apply, "--force-conflicts", stdin=json.dumps(manifest))
    assert (await client.get(name))["spec"]["resources"]["notes.txt"] == "mine\n"


async def test_patches_at_once_all_arrive(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    patches = [json.dumps({"spec": {"resources": {f"f{n}": "x"}}}) for n in range(4)]
    await asyncio.gather(*(client.kubectl("patch", PRR, name, "--type=merge", "-p", patch) for patch in patches))
    assert (await client.get(name))["spec"]["resources"] == {**FILES, **{f"f{n}": "x" for n in range(4)}}


async def test_an_unknown_field_is_refused_where_the_client_is_strict(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    shown = await client.get(name)
    shown["spec"]["resource"] = {}
    told = await client.kubectl("replace", "--validate=strict", "-f", "-", stdin=json.dumps(shown), check=False)
    assert 'unknown field "spec.resource"' in told


async def test_what_is_not_served_says_so(client: Client, packages: Packages) -> None:
    name, _ = await packages.draft()
    for arguments in (("delete", PRR, name), ("delete", PRR, "--all")):
        told = await client.kubectl(*arguments, check=False)
        assert "MethodNotAllowed" in told
    told = await client.kubectl("get", "--raw", client.path(name) + "/status", check=False)
    assert "NotFound" in told
