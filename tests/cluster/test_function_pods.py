"""Functions in pods with a real kubelet, which pulls their images from a registry."""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from porchflow.devstack.cluster.images import Images
from porchflow.devstack.cluster.inside import Orders
from porchflow.devstack.cluster.layout import REGISTRY, REGISTRY_PORT
from porchflow.devstack.toolchain.finding import cache_folder
from tests.cluster.nodes import SYSTEM, Cluster, Object, Packages
from tests.kptfiles import kptfile_text

RUNNER = "porchflow-function-runner"
PODS = "porch-fn-system"
CONFIG = "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: web # its name\ndata:\n  colour: blue\n"

LIBRARIES = [
    (Path(found), found)
    for found in re.findall(r"(/\S+) \(", subprocess.getoutput("ldd /bin/ls | grep -E 'libc.so|ld-linux'"))
]
"""The wrapper server that is built here may need the C library, which an image of busybox has not."""


def pushed(cluster: Cluster, name: str, command: list[str], files: list[tuple[Path, str]]) -> str:
    """Build a small image, push it, and return its name for the cluster."""
    outside = Orders.model_validate_json(Orders.path(cluster.folder).read_bytes()).outside[REGISTRY_PORT]
    images = Images(cache_folder() / "cluster", lambda line: None)
    images.small(f"localhost/{name}", command, [*files, *LIBRARIES])
    images.push(f"localhost/{name}", f"127.0.0.1:{outside}/{name}")
    return f"{REGISTRY}/{name}"


@pytest.fixture(scope="module")
def runner(cluster: Cluster, wrapper_binary: Path) -> Iterator[Cluster]:
    """The cluster with the component function-pods, and a wrapper server of its registry."""
    wrapper = pushed(
        cluster, "wrapper:v1", ["/bin/sh"], [(wrapper_binary, "/home/nonroot/wrapper-server/wrapper-server")]
    )
    install = [sys.executable, "-m", "porchflow.cli.main", "install", f"--kubeconfig={cluster.folder.kubeconfig}"]
    subprocess.run([*install, "--component=function-pods"], check=True)
    cluster.kubectl(
        *("set", "env", f"deployment/{RUNNER}", f"--namespace={SYSTEM}"),
        *(f"WRAPPER_SERVER_IMAGE={wrapper}", f"PORCHFLOW_INSECURE_REGISTRIES={REGISTRY}"),
    )
    cluster.rolled_out(RUNNER)
    yield cluster
    subprocess.run([*install, "--without=function-pods", "--force-conflicts"], check=True)
    cluster.rolled_out(RUNNER)


@pytest.fixture
def packages(cluster: Cluster) -> Packages:
    return cluster.registered()


def paint(cluster: Cluster, tmp_path: Path, colour: str) -> str:
    """Push a function that paints everything."""
    script = tmp_path / "paint"
    script.write_text(f"#!/bin/sh\nexec sed 's/colour: [a-z]*/colour: {colour}/'\n")
    return pushed(cluster, f"fn/paint-{uuid.uuid4().hex[:8]}:v1", ["/paint"], [(script, "/paint")])


def function_pods(cluster: Cluster, image: str) -> list[Object]:
    """Metadata of the pods of an image."""
    found = cluster.objects("pods", f"--namespace={PODS}")
    with_image = [pod for pod in found if pod["spec"]["containers"][0]["image"] == image]
    return [pod["metadata"] for pod in with_image if "deletionTimestamp" not in pod["metadata"]]


def use(packages: Packages, name: str, image: str, label: str = "") -> str:
    files: dict[str, str | None] = {
        "Kptfile": kptfile_text("web", mutators=f"[{{image: {image}}}]"),
        "config.yaml": CONFIG + label,
    }
    return packages.push(name, files)


def test_a_package_is_rendered_in_a_pod_that_may_die(runner: Cluster, packages: Packages, tmp_path: Path) -> None:
    image = paint(runner, tmp_path, "green")
    name = packages.draft("web")
    packages.ready(name)
    commit = use(packages, name, image)
    runner.until("it is rendered", lambda: packages.rendered(name, commit))
    assert packages.git("show", "drafts/web/v1:web/config.yaml") == CONFIG.replace("blue", "green")

    [pod] = function_pods(runner, image)
    runner.kubectl("delete", "pod", pod["name"], f"--namespace={PODS}", "--grace-period=0", "--force")
    commit = use(packages, name, image, "  size: large\n")
    runner.until("it is rendered in another pod", lambda: packages.rendered(name, commit))
    assert pod["uid"] not in {each["uid"] for each in function_pods(runner, image)}


def test_an_image_that_the_kubelet_cannot_start_says_so(runner: Cluster, packages: Packages, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no program of this machine")
    image = pushed(runner, f"fn/broken-{uuid.uuid4().hex[:8]}:v1", ["/broken"], [(broken, "/broken")])
    name = packages.draft("web")
    packages.ready(name)
    use(packages, name, image)
    runner.until("it stalls", lambda: packages.condition(packages.get(name), "Stalled")["status"] == "True")
    message = packages.condition(packages.get(name), "Rendered")["message"]
    assert image in message
    # The wrapper server starts, and says of the function what the kernel said to it.
    assert "exec format error" in message


def test_an_image_that_is_not_there_says_so(runner: Cluster, packages: Packages) -> None:
    name = packages.draft("web")
    packages.ready(name)
    use(packages, name, f"{REGISTRY}/fn/absent:v1")
    runner.until("it stalls", lambda: packages.condition(packages.get(name), "Stalled")["status"] == "True")
    assert "no such image" in packages.condition(packages.get(name), "Rendered")["message"]
