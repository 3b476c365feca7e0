from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import roles, team
from tests.api.team import Team
from tests.security.stage import Listener, Stage, staged
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories

__all__ = ["roles", "team"]


@pytest.fixture
async def stage(
    team: Team, control_plane: ControlPlane, git_server: GitRepositories, tmp_path: Path
) -> AsyncIterator[Stage]:
    """A namespace under the policies, with people of one role each, and a worker with its own rights alone."""
    async with staged(team, control_plane, git_server, tmp_path) as stage:
        yield stage


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A server of a stranger."""
    async with Listener() as listener:
        yield listener
