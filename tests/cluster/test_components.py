"""Components of `deploy/` that are added to a running installation, and taken away again."""

import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from porchflow.workflows.ids import Attributes
from tests.cluster.nodes import SYSTEM, Cluster, Packages

COMPONENT = "temporal-encryption"
TEMPORAL = "temporal-frontend.temporal:7233"
PAYLOADS = """
import asyncio, json, sys
from temporalio.client import Client
from porchflow.cli.ending import run_to_end

# Search attributes, and types and times of local activities, stay plain.
PLAIN = {"indexedFields", "data"}

def payloads(value):
    if isinstance(value, dict):
        if "data" in value and "metadata" in value:
            yield value["metadata"].get("encoding", "")
            return
        for key, each in value.items():
            if key not in PLAIN:
                yield from payloads(each)
    elif isinstance(value, list):
        for each in value:
            yield from payloads(each)

async def main(address, query):
    client = await Client.connect(address)
    async for run in client.list_workflows(query):
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        print(json.dumps(sorted(set(payloads(history.to_json_dict())))))

run_to_end(lambda: asyncio.run(main(*sys.argv[1:])))
"""
"""Prints the encodings of each run's payloads, as Temporal keeps them."""


@pytest.fixture
def encrypting(cluster: Cluster, packages: Packages) -> Iterator[Packages]:
    keys = f"key-1 {base64.b64encode(secrets.token_bytes(32)).decode()}"
    secret = ("secret", "porchflow-temporal-encryption", f"--namespace={SYSTEM}")
    cluster.kubectl("create", "secret", "generic", *secret[1:], f"--from-literal=keys={keys}")
    try:
        install(cluster, "--component", COMPONENT)
        yield packages
    finally:
        install(cluster, "--without", COMPONENT)
        cluster.kubectl("delete", *secret)


def install(cluster: Cluster, *flags: str) -> None:
    """Change the installation as an operator does, and wait for its processes."""
    command = (sys.executable, "-m", "porchflow.cli.main", "install", "--kubeconfig", str(cluster.folder.kubeconfig))
    subprocess.run([*command, *flags], check=True, timeout=300)
    cluster.rolled_out("porchflow-watcher", "porchflow-worker")


def encodings(cluster: Cluster, package: str) -> list[set[str]]:
    query = f"{Attributes().package.name} = '{package}' AND ExecutionStatus = 'Completed'"
    worker = ("deployment/porchflow-worker", f"--namespace={SYSTEM}")
    printed = cluster.kubectl("exec", *worker, "--", "python", "-c", PAYLOADS, TEMPORAL, query)
    return [{base64.b64decode(each).decode() for each in json.loads(line)} for line in printed.splitlines()]


def test_temporal_keeps_payloads_encrypted_and_packages_outlive_the_change(
    cluster: Cluster, encrypting: Packages
) -> None:
    name = encrypting.draft("secret-plan")
    encrypting.ready(name)
    cluster.until("the run is listed", lambda: bool(encodings(cluster, "secret-plan")))
    for run in encodings(cluster, "secret-plan"):
        assert run == {"binary/encrypted"}


def test_plain_payloads_are_seen_as_such(cluster: Cluster, packages: Packages) -> None:
    packages.ready(packages.draft("open-plan"))
    cluster.until("the run is listed", lambda: bool(encodings(cluster, "open-plan")))
    assert not any("binary/encrypted" in run for run in encodings(cluster, "open-plan"))
