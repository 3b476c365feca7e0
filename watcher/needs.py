"""The watcher's extract of an object; whether an object needs work is judged in `api/work/needs.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from porchflow.api.names import ca_bundle_name
from porchflow.api.work.intent import intent_key
from porchflow.api.work.subpackage import unmade
from porchflow.api.work.suspension import suspension_of
from porchflow.kube.following import Key, key_of


@dataclass(frozen=True, slots=True)
class Target:
    """The extract of an object that needs work: enough to signal its workflow, and no more.

    Attributes:
        namespace: Of the object.
        name: Of the object.
        repository: For the search attribute, as are the next three; may be empty.
        package: Likewise.
        workspace: Likewise.
        lifecycle: The lifecycle in the spec.
        signature: Differs when a workflow should look again: another intent, or handled and still in need.
        repeated: Whether this intent was signalled before: its run may have been ended, or be stuck.
    """

    namespace: str
    name: str
    repository: str
    package: str
    workspace: str
    lifecycle: str
    signature: str
    repeated: bool = False

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name


def target_of(obj: Mapping[str, Any]) -> Target:
    """Return the extract of a raw PackageRevision.

    `status.observedGeneration` is part of the signature because an edit without a new intent (mirrored Kptfile
    metadata) can land while a report for the generation before is on its way: the object then was handled, still needs
    work, and has the same intent as before.
    """
    namespace, name = key_of(obj)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return Target(
        namespace=namespace,
        name=name,
        repository=spec.get("repository") or "",
        package=spec.get("packageName") or "",
        workspace=spec.get("workspaceName") or "",
        lifecycle=spec.get("lifecycle") or "",
        signature=f"{intent_key(obj)}/{status.get('observedGeneration', 0)}",
    )


def sleeps(obj: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a raw PackageRevision is suspended until some time: a workflow must run then, to continue it."""
    suspension = suspension_of((obj.get("metadata") or {}).get("annotations") or {})
    return suspension is not None and suspension.until is not None and suspension.is_active(now)


def secrets_of(repository: Mapping[str, Any]) -> list[Key]:
    """Return the Secrets that access to a raw Repository depends on, whether they exist or not."""
    namespace, git = key_of(repository)[0], (repository.get("spec") or {}).get("git") or {}
    named = (git.get("secretRef") or {}).get("name")
    bundle = ca_bundle_name(namespace) if str(git.get("repo", "")).startswith("https:") else ""
    return [(namespace, name) for name in (named, bundle) if name]


def clone_secrets(obj: Mapping[str, Any]) -> list[str]:
    """Return the Secrets that fetch upstreams for a raw PackageRevision: of its source, and of its operation."""
    gits = ((asked.get("cloneFrom") or {}).get("git") or {} for asked in unmade(obj))
    names = ((git.get("secretRef") or {}).get("name") for git in gits)
    return [str(name) for name in names if name]
