from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from kube.client import KubeClient


@pytest.fixture(scope="session")
async def kube(control_plane: Any) -> AsyncIterator[KubeClient]:
    """A client of the real API server, which serves our CustomResourceDefinitions."""
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="session")
async def temporal(temporal_server: Any) -> Client:
    """A client of the real Temporal."""
    return await Client.connect(temporal_server.address, data_converter=pydantic_data_converter)
