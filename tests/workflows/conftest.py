import pytest
from temporalio.client import Client

from porchflow.workflows.converter import DATA_CONVERTER
from tests.servers.temporal import TemporalServer


@pytest.fixture
async def temporal_client(temporal_server: TemporalServer) -> Client:
    return await Client.connect(temporal_server.address, data_converter=DATA_CONVERTER)
