"""Label selectors of Kubernetes: `a=b,c!=d,e in (x,y),f notin (z),g,!h`."""

import re
from collections.abc import Mapping

from porchflow.functions.builtin.toolkit.sdk import FunctionError

_SET = re.compile(r"(?P<key>[^\s!=(),]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s!=(),]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=(),]*)")
_EXISTS = re.compile(r"(?P<absent>!?)\s*(?P<key>[^\s!=(),]+)")


def matches(selector: str, labels: Mapping[str, object]) -> bool:
    """Return whether labels (or annotations) satisfy every requirement of a selector; an empty one is satisfied by all.

    Raises:
        FunctionError: It is no selector.
    """
    if not selector.strip():
        return True
    return all(_satisfies(requirement.strip(), labels, selector) for requirement in _requirements(selector))


def _requirements(selector: str) -> list[str]:
    """Cut a selector at its commas but those before a parenthesis that closes."""
    parts: list[str] = []
    end, closes = len(selector), False
    for place in range(len(selector) - 1, -1, -1):
        if selector[place] in "()":
            closes = selector[place] == ")"
        elif selector[place] == "," and not closes:
            parts.append(selector[place + 1 : end])
            end = place
    return [selector[:end], *reversed(parts)]


def _satisfies(requirement: str, labels: Mapping[str, object], selector: str) -> bool:
    found = _SET.fullmatch(requirement)
    if found:
        values = {value.strip() for value in found["values"].split(",")}
        return (str(labels.get(found["key"])) in values) == (found["operator"] == "in")
    found = _EQUAL.fullmatch(requirement)
    if found:
        return (labels.get(found["key"]) == found["value"]) == (found["operator"] != "!=")
    found = _EXISTS.fullmatch(requirement)
    if found:
        return (found["key"] in labels) != bool(found["absent"])
    raise FunctionError(f"cannot read `{requirement}` in the selector `{selector}`")
