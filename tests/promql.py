"""What a PromQL expression reads, as far as alarms and the dashboard of porchflow use the language."""

import re
from dataclasses import dataclass

_METRIC = re.compile(r"\b((?:porchflow|temporal|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"")
_GROUPED = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selected:
    """A selector.

    Attributes:
        metric: The name of the samples.
        matchers: Values, or expressions for them, by label.
    """

    metric: str
    matchers: dict[str, str]


def selectors(expression: str) -> list[Selected]:
    """Return the selectors of an expression."""
    plain = _GROUPED.sub("", expression)
    return [Selected(name, dict(_MATCHER.findall(inside or ""))) for name, inside in _METRIC.findall(plain)]


def grouping(expression: str) -> set[str]:
    """Return the labels by which an expression groups."""
    return {label.strip() for inside in _GROUPED.findall(expression) for label in inside.split(",")}
