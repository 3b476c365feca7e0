"""The modules that a Starlark program can load, with the names and functions of the Starlib library.

A module is a Starlark text that gives names to Python functions; these get and return plain values.
"""

import base64 as encodings
import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from porchflow.functions.builtin.toolkit.patterns import compiled
from porchflow.kpt.format.krm import text_of
from porchflow.yamltext.document import dump, load
from porchflow.yamltext.nodes import Value


class StarlarkModule(NamedTuple):
    """A loadable module: the name it defines, and its functions by their names in it."""

    name: str
    functions: Mapping[str, Callable[..., Value]]
    constants: Mapping[str, float] = {}

    @property
    def program(self) -> str:
        """The Starlark text that makes the module of its functions, which have a `_` before their names there."""
        members = [f"{name} = _{name}" for name in self.functions]
        members += [f"{name} = {value!r}" for name, value in self.constants.items()]
        return f"{self.name} = struct({', '.join(members)})\n"


def _match_gvk(resource: Value, api_version: str, kind: str) -> bool:
    found = text_of(resource, "apiVersion"), text_of(resource, "kind")
    return all(not wanted or wanted == text for wanted, text in zip((api_version, kind), found, strict=True))


_ENCODINGS = {
    "standard": (b"+/", True),
    "standard_raw": (b"+/", False),
    "url": (b"-_", True),
    "url_raw": (b"-_", False),
}


def _encoding(name: str) -> tuple[bytes, bool]:
    """Return the two last digits of a base64 dialect, and whether it is padded."""
    if name not in _ENCODINGS:
        raise ValueError(f"unsupported encoding format: {name!r}, must be one of {', '.join(_ENCODINGS)}")
    return _ENCODINGS[name]


def _base64_encode(src: str, encoding: str = "standard") -> str:
    digits, padded = _encoding(encoding)
    text = encodings.b64encode(src.encode(), digits).decode()
    return text if padded else text.rstrip("=")


def _base64_decode(src: str, encoding: str = "standard") -> str:
    digits, padded = _encoding(encoding)
    try:
        return encodings.b64decode(src if padded else src + "=" * (-len(src) % 4), digits, validate=True).decode()
    except ValueError as error:
        raise ValueError(f"cannot decode as base64 text: {error}") from None


_HTML = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}
"""Characters that Go's JSON always escapes."""


def _json_encode(value: Value) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.translate(_HTML)


def _yaml_dump(value: Value) -> str:
    return dump(_sorted(value))


def _sorted(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(element) for element in value] if isinstance(value, list) else value


def _read_csv(source: str, comma: str = ",", skip: int = 0) -> list[list[str]]:
    return list(csv.reader(io.StringIO(source), delimiter=comma, strict=True))[skip:]


def _write_csv(source: list[list[str]], comma: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=comma, lineterminator="\n").writerows(source)
    return text.getvalue()


def _digest(algorithm: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def _search(pattern: str, string: str, flags: int = 0) -> list[int] | None:  # noqa: ARG001 - as in Starlib
    found = compiled(pattern).search(string)
    return list(found.span) if found else None


def _match(pattern: str, string: str, flags: int = 0) -> list[list[str]]:  # noqa: ARG001
    return [[found.text, *found.groups] for found in compiled(pattern).matches(string)]


def _findall(pattern: str, string: str, flags: int = 0) -> list[str]:  # noqa: ARG001
    return [found.text for found in compiled(pattern).matches(string)]


def _split(pattern: str, string: str, maxsplit: int = 0, flags: int = 0) -> list[str]:  # noqa: ARG001
    parts: list[str] = []
    start = end = 0
    for found in compiled(pattern).matches(string):
        if maxsplit > 0 and len(parts) == maxsplit - 1:
            break
        end = found.span[0]
        # An empty match at the very beginning splits nothing off, as in Go.
        if found.span[1]:
            parts.append(string[start:end])
        start = found.span[1]
    return parts if end == len(string) and string else [*parts, string[start:]]


def _sub(pattern: str, repl: str, string: str, count: int = 0, flags: int = 0) -> str:  # noqa: ARG001
    return compiled(pattern).replaced(string, repl, count)


def _round(x: float) -> float:
    """Return the nearest whole number; halves go away from zero."""
    return math.copysign(math.floor(abs(x) + 0.5), x)


_MATH: dict[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (
        *(math.acos, math.acosh, math.asin, math.asinh, math.atan, math.atan2, math.atanh),
        *(math.cos, math.cosh, math.sin, math.sinh, math.tan, math.tanh, math.degrees, math.radians),
        *(math.ceil, math.floor, math.fabs, math.fmod, math.remainder, math.copysign, math.hypot),
        *(math.exp, math.log, math.pow, math.sqrt, math.gamma),
    )
}

MODULES: dict[str, StarlarkModule] = {
    "krmfn.star": StarlarkModule(
        "krmfn",
        {
            "match_gvk": _match_gvk,
            "match_name": lambda resource, name: text_of(resource, "metadata", "name") == name,
            "match_namespace": lambda resource, namespace: text_of(resource, "metadata", "namespace") == namespace,
        },
    ),
    "encoding/base64.star": StarlarkModule("base64", {"encode": _base64_encode, "decode": _base64_decode}),
    "encoding/csv.star": StarlarkModule("csv", {"read_all": _read_csv, "write_all": _write_csv}),
    "encoding/json.star": StarlarkModule("json", {"encode": _json_encode, "decode": json.loads}),
    "encoding/yaml.star": StarlarkModule("yaml", {"loads": load, "dumps": _yaml_dump}),
    "hash.star": StarlarkModule("hash", {name: _digest(name) for name in ("md5", "sha1", "sha256")}),
    "math.star": StarlarkModule("math", {**_MATH, "mod": math.fmod, "round": _round}, {"pi": math.pi, "e": math.e}),
    "re.star": StarlarkModule(
        "re", {"search": _search, "match": _match, "findall": _findall, "split": _split, "sub": _sub}
    ),
}
"""Modules by the name under which a program loads them."""
