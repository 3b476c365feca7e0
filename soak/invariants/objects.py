"""Objects: each is there as it was promised, converged by kstatus, and nobody else's is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from porchflow.api.models.conditions import raw_condition, raw_holding
from porchflow.api.names import LATEST_REVISION_LABEL, RECONCILE_NOW_ANNOTATION
from porchflow.kube.client import Object
from soak.findings import Violation
from soak.ledger import GONE, Ledger, Promise
from soak.observer import broken_rules
from tests.e2e.rules import check_kstatus

Objects = Mapping[tuple[str, str], Object]
"""By namespace and name."""

_BRANCH = "main"


def why_unsettled(promise: Promise, obj: Object | None) -> str:
    """Return what keeps an object from what was promised; empty where nothing does."""
    if obj is None:
        return "" if GONE in promise.wanted else "it must be there, and is not"
    if obj["metadata"].get("deletionTimestamp") or promise.is_sure(GONE):
        return f"it must be gone, and is there: {_state(obj)}"
    lifecycle = obj["spec"].get("lifecycle")
    if lifecycle not in promise.wanted:
        return f"its lifecycle must be {_names(promise)}, and is {lifecycle}"
    if (obj.get("status") or {}).get("observedGeneration") != obj["metadata"]["generation"]:
        return f"its newest generation must be observed, and is not: {_state(obj)}"
    asked = (obj["metadata"].get("annotations") or {}).get(RECONCILE_NOW_ANNOTATION)
    if asked and not promise.suspended and (obj.get("status") or {}).get("observedReconcileNow") != asked:
        return f"the reconcile {asked} must have been made, and was not: {_state(obj)}"
    return _why_not_right(promise, obj)


def _why_not_right(promise: Promise, obj: Object) -> str:
    for kind, wanted in (("Stalled", promise.stalled), ("Suspended", "Suspended" if promise.suspended else "")):
        if wanted:
            found = raw_condition(obj, kind)
            right = found and (kind == "Suspended" or found.get("reason") == wanted)
            return "" if right else f"it must be {kind}: {wanted}, and is not: {_state(obj)}"
    others = [kind for kind in ("Reconciling", "Stalled", "Suspended") if raw_condition(obj, kind)]
    right = raw_holding(obj, "Ready") and not others
    return "" if right else f"it must be Ready, and is not: {_state(obj)}"


def _state(obj: Object) -> str:
    ready = raw_condition(obj, "Ready")
    told = f"Ready {ready.get('status')}, {ready.get('reason')}: {ready.get('message')}" if ready else "no Ready"
    status, metadata = obj.get("status") or {}, obj["metadata"]
    deleted = ", being deleted" if metadata.get("deletionTimestamp") else ""
    return f"{told} (generation {metadata['generation']}, observed {status.get('observedGeneration')}{deleted})"


def _names(promise: Promise) -> str:
    return " or ".join(sorted(str(each or "gone") for each in promise.wanted))


def check_objects(ledger: Ledger, objects: Objects) -> list[Violation]:
    """Return what is violated once everything has settled.

    Args:
        ledger: The promises of all objects.
        objects: All that there are.
    """
    found, known = [], set()
    for promise in ledger.promises.values():
        name = (promise.key.namespace, promise.key.name)
        known.add(name)
        if not ledger.is_open(promise) and (why := why_unsettled(promise, objects.get(name))):
            found.append(Violation("objects", str(promise.key), why))
    for name, obj in objects.items():
        found += broken_rules(obj) + _other_than_kstatus(obj)
        if name not in known:
            found += _unpromised(obj)
    return found + _latest(objects.values())


def _other_than_kstatus(obj: Object) -> list[Violation]:
    if not raw_condition(obj, "Ready"):
        return []
    try:
        check_kstatus(obj)
    except AssertionError as error:
        return [Violation("kstatus", _full_name(obj), str(error))]
    return []


def _unpromised(obj: Object) -> list[Violation]:
    """Return violations for an object that nobody made: it can only be what the branch holds, and Ready."""
    if obj["spec"].get("workspaceName") != _BRANCH:
        return [Violation("objects", _full_name(obj), f"nobody made it: {_state(obj)}")]
    if not raw_holding(obj, "Ready") or obj["metadata"].get("deletionTimestamp"):
        return [
            Violation("objects", _full_name(obj), f"what the branch holds must be Ready, and is not: {_state(obj)}")
        ]
    return []


def _latest(objects: Iterable[Object]) -> list[Violation]:
    """Return violations where another revision than the last of a package has the label of the latest."""
    numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    labelled: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for obj in objects:
        number = (obj.get("status") or {}).get("revision") or 0
        package = (obj["metadata"]["namespace"], obj["spec"]["repository"], obj["spec"]["packageName"])
        if number > 0:
            numbers[package].append(number)
        if (obj["metadata"].get("labels") or {}).get(LATEST_REVISION_LABEL) == "true":
            labelled[package].append(number)
    wanted = {package: [max(each)] for package, each in numbers.items()}
    return [
        Violation(
            "latest", "/".join(package), f"revision {wanted.get(package)} is the latest, and {found} are labelled"
        )
        for package in sorted({*wanted, *labelled})
        if (found := labelled.get(package, [])) != wanted.get(package, [])
    ]


def _full_name(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def check_repositories(repositories: Iterable[Object]) -> list[Violation]:
    """Return violations for Repositories that are not Ready."""
    return [
        Violation("repositories", _full_name(obj), f"it must be Ready, and is not: {_state(obj)}")
        for obj in repositories
        if not raw_holding(obj, "Ready") or raw_condition(obj, "Stalled") or raw_condition(obj, "Reconciling")
    ]
