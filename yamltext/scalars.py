"""Scalars: the meaning of a plain one, and a spelling of each value that every reader understands alike.

Reading follows Go's yaml.v3, which kpt and its functions use: `on` and `yes` are strings, `012` is octal, timestamps
stay strings. Writing also considers YAML 1.1 readers (Kubernetes' own), so `on` is quoted.
"""

import json
import math
import re
from typing import TypeVar

from porchflow.api.limits import YAML_NUMBER_CHARACTERS

Scalar = str | int | float | bool | None
"""A YAML scalar as Python represents it."""

_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST_OF_SPECIAL = frozenset("0123456789+-.~nNtTfF")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_YAML_1_1 = re.compile(
    r"""(?: [yYnN] | yes|Yes|YES | no|No|NO | on|On|ON | off|Off|OFF | = | <<
        | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: (?:[Tt]|[ \t]+) [0-9]{1,2}:.* )?
        | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
        | [-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        | [-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
        | [-+]?0[0-9_]+ | [-+]?[0-9_]+ | [-+]?0[xobXOB]?[0-9a-fA-F_]+ )\Z""",
    re.VERBOSE,
)
_INDICATORS = frozenset(",[]{}#&*!|>'\"%@`")
_PRINTABLE = r"\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
_UNSAFE_INSIDE = re.compile(rf": |:\Z| #|[^{_PRINTABLE}]")
_UNSAFE_IN_FLOW = re.compile(r"[,\[\]{}]|:[,\[\]{}]")
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_UNSAFE_IN_SINGLE = re.compile(rf"[^{_PRINTABLE}]")
_NOT_LITERAL = re.compile(rf"[^\n\t{_PRINTABLE}]")


class WrittenInt(int):
    """A whole number that remembers its spelling, where that is not the usual one: `0x1F`, `012`."""

    text: str


class WrittenFloat(float):
    """A number that remembers its spelling: `1.10` may well be a version."""

    text: str


def resolve_plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar."""
    if text and text[0] not in _FIRST_OF_SPECIAL:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return _number(text.replace("_", ""), text) if len(text) < YAML_NUMBER_CHARACTERS else text


def _number(digits: str, text: str) -> Scalar:
    if _INTEGER.match(digits):
        whole = _integer(digits)
        return whole if str(whole) == text else _written(WrittenInt(whole), text)
    if _FLOAT.match(digits):
        number = float(digits)
        if math.isinf(number):
            return text
        return number if repr(number) == text else _written(WrittenFloat(number), text)
    return text


_Written = TypeVar("_Written", WrittenInt, WrittenFloat)


def _written(number: _Written, text: str) -> _Written:
    number.text = text
    return number


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    body = digits.lstrip("+-")
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        return sign * int(body, 8)
    return sign * int(body, 0)


def resolve_tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with an explicit tag; tags unknown to Kubernetes leave the text as it is."""
    if tag.rpartition(":")[2] in ("int", "float", "bool", "null"):
        value = resolve_plain(text)
        return float(value) if tag.endswith(":float") and isinstance(value, int) else value
    return text


def is_ambiguous(text: str) -> bool:
    """Return whether some YAML reader would take this text, written plain, for something other than a string."""
    return not isinstance(resolve_plain(text), str) or _YAML_1_1.match(text) is not None or text.lower() in _SPOKEN


_SPOKEN = frozenset({"null", "true", "false", "yes", "no", "on", "off", ".nan", ".inf", "-.inf", "+.inf"})


def plain_is_safe(text: str, *, flow: bool) -> bool:
    """Return whether a string can be written without quotes."""
    if not text or text[0] in _INDICATORS or text[0] == " " or text[-1] == " " or text.startswith(("---", "...")):
        return False
    if text[0] in "-?:" and (len(text) == 1 or text[1] == " " or flow):
        return False
    if _UNSAFE_INSIDE.search(text) or (flow and _UNSAFE_IN_FLOW.search(text)):
        return False
    return not is_ambiguous(text)


def double_quoted(text: str) -> str:
    """Return the string in double quotes, on one line; also valid JSON."""
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def render_scalar(value: Scalar, *, style: str | None = None, flow: bool = False, json_text: bool = False) -> str:
    """Write a scalar on one line.

    Args:
        value: The value to write.
        style: The quote character of the text before, kept where the value allows.
        flow: Whether it is inside `[]` or `{}`.
        json_text: Whether the document is JSON, so that strings always take double quotes.
    """
    if isinstance(value, WrittenInt | WrittenFloat) and not json_text:
        return value.text
    if not isinstance(value, str):
        return _render_special(value)
    if json_text or style == '"':
        return double_quoted(value)
    single = not _UNSAFE_IN_SINGLE.search(value)
    if style == "'" and single:
        return _single_quoted(value)
    if plain_is_safe(value, flow=flow):
        return value
    return _single_quoted(value) if single and ('"' in value or "\\" in value) else double_quoted(value)


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _render_special(value: float | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return repr(float(value))


def literal_header(text: str) -> str | None:
    """Return the header of a literal block that holds the string, or None when only a quoted scalar can."""
    first = text.lstrip("\n")
    if "\n" not in text or not first or first[0] in " \t" or _NOT_LITERAL.search(text):
        return None
    if not text.endswith("\n"):
        return "|-"
    return "|+" if text.endswith("\n\n") else "|"
