"""The id of this installation in Temporal: set, or that of the cluster."""

from typing import Final

from porchflow.cli.settings import told_name
from porchflow.kube.backoff import WaitsFor, persist
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, KubeError
from porchflow.kube.kinds import NAMESPACES
from porchflow.workflows.ids import Attributes, Installation
from porchflow.workflows.installation_settings import InstallationSettings

CLUSTER: Final = "kube-system"
"""The Namespace whose uid stands for its cluster: it is there from the cluster's first moment to its last."""


async def find_installation(settings: InstallationSettings, kube: KubeClient, waits_for: WaitsFor) -> Installation:
    """Return this installation; waits until its id can be read, where none is set."""

    async def attempt() -> Installation:
        return await read_installation(settings, kube)

    return await persist("the id of this installation", attempt, (KubeError,), waits_for)


async def read_installation(settings: InstallationSettings, kube: KubeClient) -> Installation:
    """Return this installation.

    Raises:
        KubeError: No id is set, and that of the cluster cannot be read now.
    """
    attributes = Attributes(settings.search_attribute_prefix)
    if settings.installation:
        return Installation(settings.installation, attributes)
    try:
        cluster = await kube.get(NAMESPACES, None, CLUSTER)
    except Forbidden as error:
        raise KubeError(
            f"may not read Namespace {CLUSTER}, whose uid is the default: apply deploy/base, which allows it, or set"
            f" {told_name('temporal_installation')} to an id of your own for the watcher and all workers"
        ) from error
    return Installation(cluster["metadata"]["uid"], attributes)
