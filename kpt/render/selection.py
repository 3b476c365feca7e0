"""Selection of the resources that a function of a pipeline gets.

Source: docs/reference/kpt-rendering.md, "Selectors".
"""

from collections.abc import Sequence

from porchflow.kpt.format.kptfile import Function, Selector
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.kpt.format.resources import Resource
from porchflow.yamltext.nodes import Value


def select(function: Function, resources: Sequence[Resource]) -> list[int]:
    """Return the positions of the resources that match any selector and no exclusion, in order."""
    chosen = range(len(resources))
    if function.selectors:
        chosen_by_any = [i for i in chosen if any(_matches(item, resources[i].value) for item in function.selectors)]
    else:
        chosen_by_any = list(chosen)
    exclusions = [selector for selector in function.exclude if selector != Selector()]
    return [i for i in chosen_by_any if not any(_matches(selector, resources[i].value) for selector in exclusions)]


def _matches(selector: Selector, value: Value) -> bool:
    metadata = map_of(value, "metadata")
    exact = (
        (selector.api_version, text_of(value, "apiVersion")),
        (selector.kind, text_of(value, "kind")),
        (selector.name, text_of(metadata, "name")),
        (selector.namespace, text_of(metadata, "namespace")),
    )
    if any(wanted and wanted != actual for wanted, actual in exact):
        return False
    return _subset(selector.labels, map_of(metadata, "labels")) and _subset(
        selector.annotations, map_of(metadata, "annotations")
    )


def _subset(wanted: dict[str, str], actual: dict[str, Value]) -> bool:
    return all(actual.get(key) == value for key, value in wanted.items())


def merge(
    resources: Sequence[Resource], chosen: Sequence[int], answer: Sequence[Resource], places: Sequence[int | None]
) -> list[Resource]:
    """Put a function's answer back among the resources that it did not get.

    Args:
        resources: All resources of the package before.
        chosen: Positions of those that the function got.
        answer: The resources of the answer.
        places: For each item of the answer its position in `chosen`; None for new ones.

    Returns:
        All resources in their former order, without deleted ones; new ones come last.
    """
    back = {chosen[place]: item for place, item in zip(places, answer, strict=True) if place is not None}
    given = set(chosen)
    kept = [back[i] if i in given else item for i, item in enumerate(resources) if i not in given or i in back]
    return kept + [item for place, item in zip(places, answer, strict=True) if place is None]
