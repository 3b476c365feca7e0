from collections.abc import AsyncIterator
from typing import Any

import pytest

from porchflow.kube.client import KubeClient
from tests.kube.helpers import WIDGET_CRD, WIDGETS, install_crd


@pytest.fixture(scope="session")
async def api(control_plane: Any) -> AsyncIterator[KubeClient]:
    """A client of the real API server, which serves widgets."""
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        await install_crd(client, WIDGET_CRD, WIDGETS)
        yield client
