from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kube.client import KubeClient
from tests.kubectl import Kubectl

CRDS = Path(__file__).parents[2] / "deploy" / "crds"


@pytest.fixture(scope="session")
def crds(kubectl: Kubectl) -> None:
    """The CustomResourceDefinitions as they are in the repository, served."""
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))


@pytest.fixture(scope="session")
async def kube(control_plane: Any, crds: None) -> AsyncIterator[KubeClient]:
    """A client of the real API server."""
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        yield client
