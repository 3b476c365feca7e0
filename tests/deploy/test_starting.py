"""What a node makes of the pods while they start, and while a new version takes their place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import COMPONENTS, Built, with_components
from tests.kubectl import Kubectl

SMALL_NODE_MILLICORES = 1900
"""Of 2 cores, what the system's own pods leave on a small node."""
SLOW_START_SECONDS = 120
"""Imports of several processes at once on a busy node of 2 cores take a minute."""


def containers(built: Built) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in built.pods.items():
        for container in pod["spec"]["containers"]:
            yield name, container


def millicores(value: str) -> int:
    return int(value.removesuffix("m")) if value.endswith("m") else int(value) * 1000


@pytest.fixture(params=["", *COMPONENTS])
def variant(request: pytest.FixtureRequest, kubectl: Kubectl, tmp_path: Path) -> Built:
    """The manifests, alone and with each component."""
    return with_components(kubectl, tmp_path, *filter(None, [request.param]))


def test_a_slow_start_is_no_reason_to_kill(variant: Built) -> None:
    for name, container in containers(variant):
        probe, liveness = container["startupProbe"], container["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= SLOW_START_SECONDS, name
        # Both ask the same: whether the process is up, whatever its servers do.
        actions = [
            {key: each[key] for key in ("httpGet", "grpc", "tcpSocket") if key in each} for each in (probe, liveness)
        ]
        assert actions[0] == actions[1], name


def test_the_content_api_serves_until_nobody_sends_it_requests(variant: Built) -> None:
    found = [each for name, each in containers(variant) if name == "porchflow-content-api"]
    if not found:
        pytest.skip("this variant has no content API")
    [container] = found
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = variant.pods["porchflow-content-api"]["spec"]["terminationGracePeriodSeconds"]
    assert wait >= 5
    # Then requests under way have a minute.
    assert grace - wait > 60


def surge(deployment: dict[str, Any]) -> int:
    """Return how many pods a rollout adds to one of this size; Kubernetes' own default is a quarter, rounded up."""
    replicas = deployment["spec"]["replicas"]
    limit = deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", "25%")
    return int(limit) if isinstance(limit, int) else -(-replicas * int(limit.removesuffix("%")) // 100)


def test_a_rollout_of_everything_fits_on_a_small_node(built: Built) -> None:
    asked = 0
    for name, deployment in built.of("Deployment").items():
        each = sum(
            millicores(container["resources"]["requests"]["cpu"]) for of, container in containers(built) if of == name
        )
        asked += each * (deployment["spec"]["replicas"] + surge(deployment))
    assert asked <= SMALL_NODE_MILLICORES
