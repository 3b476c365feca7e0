"""Labels of the Kptfile as labels of the object, so that `kubectl get -l` selects by them.

Source: docs/reference/porch-api.md, "Labels of the Kptfile".
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from porchflow.activities.objects import change_object
from porchflow.api.names import KPTFILE_LABEL_PREFIX, LABELS_FIELD_MANAGER
from porchflow.kube.changes import apply_part
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS

_LONGEST: Final = 63
"""Characters that the API server takes in the name of a label behind its prefix, and in its value."""
_WORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


class KptfileLabels(NamedTuple):
    """Labels for an object.

    Attributes:
        labels: The labels by their whole key.
        problems: Messages about labels of the Kptfile that no label of an object can show.
    """

    labels: dict[str, str]
    problems: tuple[str, ...]


def kptfile_labels(labels: Mapping[str, str]) -> KptfileLabels:
    """Return the labels of an object that show those of its Kptfile: a slash in a key becomes two underscores."""
    shown: dict[str, str] = {}
    problems = []
    for key, value in sorted(labels.items()):
        whole = KPTFILE_LABEL_PREFIX + key.replace("/", "__")
        if problem := _problem(whole, value) or ("another label has this name already" if whole in shown else ""):
            problems.append(f"the Kptfile's label {_short(key)} is not shown as {_short(whole)}: {problem}")
        else:
            shown[whole] = value
    return KptfileLabels(shown, tuple(problems))


def shown_labels(obj: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a raw object that show labels of its Kptfile."""
    labels = obj["metadata"].get("labels") or {}
    return {key: value for key, value in labels.items() if key.startswith(KPTFILE_LABEL_PREFIX)}


async def show_labels(kube: KubeClient, obj: Object, labels: Mapping[str, str]) -> Object:
    """Apply the labels that show those of the Kptfile, and remove all others of their kind, whoever set them.

    Args:
        kube: The API client.
        obj: The raw object as last read.
        labels: From `kptfile_labels`.

    Returns:
        The object as it is now.

    Raises:
        Superseded: The live object asks for something newer.
        KubeError: The API server cannot be reached or refuses.
    """

    async def apply(current: Object) -> Object:
        if shown_labels(current) == labels:
            return current
        metadata = {key: current["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
        part = {"metadata": {**metadata, "labels": dict(labels)}}
        after = await apply_part(
            kube, PACKAGEREVISIONS, current, part, field_manager=LABELS_FIELD_MANAGER, subresource=None
        )
        # A user or an older version of a sync may own a label too: an apply without it leaves it there.
        others = dict.fromkeys(shown_labels(after).keys() - labels.keys())
        if not others:
            return after
        patch = {"metadata": {"labels": others, "resourceVersion": after["metadata"]["resourceVersion"]}}
        return await kube.merge_patch(PACKAGEREVISIONS, metadata["namespace"], metadata["name"], patch)

    return await change_object(kube, obj, apply)


def _problem(whole: str, value: str) -> str:
    name = whole.partition("/")[2]
    if len(name) > _LONGEST:
        return f"the name behind the slash has {len(name)} characters; shorten the key by {len(name) - _LONGEST}"
    if not _WORD.fullmatch(name):
        return "a label's name has letters, digits, '-', '_' and '.', and ends with a letter or digit"
    if len(value) > _LONGEST:
        return f"its value has {len(value)} characters, and a label's has {_LONGEST} at most"
    if value and not _WORD.fullmatch(value):
        return (
            f"its value {_short(value)} is none of a label: letters, digits, '-', '_' and '.', with a letter or digit"
            " at both ends"
        )
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST * 2 else f"{text[: _LONGEST * 2]}…")
