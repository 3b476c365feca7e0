"""Reads the PackageRevision that a user names."""

import re

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS

_PREFIX = re.compile(r"(packagerevisions?|rpkg)(\.porch\.kpt\.dev)?/", re.IGNORECASE)


class NoSuchRevisionError(Exception):
    """There is no such PackageRevision; the message says how to find the names."""


def object_name(name: str) -> str:
    """Return the name of an object as the API server has it.

    Args:
        name: Also as `kubectl get --output name` prints it: `packagerevision.porch.kpt.dev/NAME`.
    """
    return _PREFIX.sub("", name, count=1)


async def read_named(kube: KubeClient, namespace: str, name: str) -> Object:
    """Return a raw PackageRevision.

    Args:
        kube: The API server.
        namespace: Namespace of the object.
        name: As `object_name` takes it.

    Raises:
        NoSuchRevisionError: The namespace has no such object.
        KubeError: The API server does not answer, or forbids it.
    """
    try:
        return await kube.get(PACKAGEREVISIONS, namespace, object_name(name))
    except NotFound:
        raise no_such(namespace, name) from None


def no_such(namespace: str, name: str) -> NoSuchRevisionError:
    """Return the error that a namespace has no such PackageRevision."""
    return NoSuchRevisionError(
        f"there is no PackageRevision {name!r} in namespace {namespace!r}; `kubectl get packagerevisions`"
        " shows the names, --namespace chooses another namespace"
    )
