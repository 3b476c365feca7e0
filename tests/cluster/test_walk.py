"""docs/contributing/cluster.md as it stands: from an empty cluster to a published package."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.cluster.nodes import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "cluster.md"


def test_the_page_leads_to_a_published_package(cluster: Cluster) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    environment = {**os.environ, "KUBECONFIG": str(cluster.folder.kubeconfig), "GIT_FOLDER": str(cluster.folder.git)}
    try:
        for block in blocks:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    finally:
        # Another run on the same cluster begins with nothing.
        cluster.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=240s")
        shutil.rmtree(cluster.folder.git / "shop.git")
    # The comment is there, and only the one value has changed.
    [written] = re.findall(r"service.yaml: \|\n(.*?)EOF", blocks[2], re.DOTALL)
    lines = [line.removeprefix("      ") for line in written.splitlines()]
    assert done.stdout.splitlines()[-len(lines) :] == [line.replace(" example", " shop-eu") for line in lines]
