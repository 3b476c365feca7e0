from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter


@pytest.fixture(scope="session")
async def temporal(temporal_server: Any) -> Client:
    """A client of the real Temporal."""
    return await Client.connect(temporal_server.address, data_converter=pydantic_data_converter)
