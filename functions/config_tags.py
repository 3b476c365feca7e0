"""Tags that an executor of a FunctionConfig lists: exact tags, constraints on versions, and `*` for all.

Source: docs/reference/porch-function-runner.md, "FunctionConfigs".
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from porchflow.api.models.functionconfig import FunctionConfigSpec
from porchflow.kpt.render.versions import Constraint, ConstraintError, parse_version

_ALL: Final = "*"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""A tag as registries accept it."""
_WILDCARD: Final = re.compile(r"v?[0-9]+(?:\.[0-9]+)?(?:\.[xX]){1,2}")
"""A constraint with the characters of a tag, such as `v0.4.x`."""
_MENDS: Final = (
    "list a tag of the image (v0.4.1), a constraint on versions ('>= v0.4.0 < v0.5.0', '~0.4', '0.4.x'), or '*' for all"
)


def is_exact(listed: str) -> bool:
    """Return whether a listed text stands for one tag alone; an empty text stands for an image without a tag."""
    return not listed or (_TAG.fullmatch(listed) is not None and _WILDCARD.fullmatch(listed) is None)


def admits(listed: str, tag: str) -> bool:
    """Return whether a listed text stands for a tag; a text that is neither tag nor constraint stands for none."""
    if listed in {tag, _ALL}:
        return True
    constraint = None if is_exact(listed) else _constraint(listed)
    version = parse_version(tag) if constraint is not None else None
    return constraint is not None and version is not None and constraint.holds(version)


def tags_problem(spec: FunctionConfigSpec) -> str:
    """Return which tags of a FunctionConfig stand for nothing, and how to mend them; empty if all are usable."""
    executors = {
        "goExecutor": spec.go_executor,
        "binaryExecutor": spec.binary_executor,
        "podExecutor": spec.pod_executor,
    }
    found = [
        f"{field}.tags: {', '.join(map(repr, unusable))}"
        for field, executor in executors.items()
        if executor is not None and (unusable := _unusable(executor.tags))
    ]
    return f"{'; '.join(found)}: neither a tag nor a constraint on versions: {_MENDS}" if found else ""


def _unusable(tags: Iterable[str]) -> list[str]:
    return [each for each in tags if each != _ALL and not is_exact(each) and _constraint(each) is None]


@lru_cache(maxsize=1024)
def _constraint(text: str) -> Constraint | None:
    try:
        return Constraint(text)
    except ConstraintError:
        return None
