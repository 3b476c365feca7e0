"""Texts as Go's YAML library (go.yaml.in/yaml/v3) writes them as values of a struct. Pure.

A digest of such YAML is the same here. Texts with line breaks (those of Unicode, too), which Go writes over several
lines, and with a byte order mark are left out: no name, ref or folder has one.
"""

import math
import re
from datetime import UTC, datetime
from typing import Final

_IN_THREE_CASES: Final = ("true", "false", "null", "y", "n", "yes", "no", "on", "off", ".inf", "+.inf", "-.inf")
_WORDS: Final = frozenset(
    {"", "~", ".nan", ".NaN", ".NAN"}
    | set(_IN_THREE_CASES)
    | {word.upper() for word in _IN_THREE_CASES}
    | {re.sub("[a-z]", lambda first: first[0].upper(), word, count=1) for word in _IN_THREE_CASES}
)
"""What YAML 1.1 or 1.2 reads as a truth value, as nothing or as a number."""

_BASE_60: Final = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)
_INTEGER: Final = re.compile(r"[-+]?(0[xX][\da-fA-F]+|0[bB][01]+|0[oO]?[0-7]+)|-?0b[01]+|0[bo][-+]\d+", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"((?:[Tt](?P<zoned>)| +)(\d\d?):(\d\d?):(\d\d?)([.,]\d+)?(?(zoned)(Z|[-+]\d\d:[0-5]\d)|))?",
    re.ASCII,
)
_UNDERSCORE: Final = re.compile(r"(?<=\d)_(?=\d)", re.ASCII)
_NOT_PLAIN: Final = re.compile(r"^[#,\[\]{}&*!|>'\"%@` ]|^[-?]( |$)|^---|^\.\.\.|:( |$)| #| $")
_NOT_PRINTABLE: Final = re.compile("[^ -~\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_ESCAPES: Final = dict(zip('\0\a\b\t\n\v\f\r\x1b"\\\x85\u2028\u2029', '0abtnvfre"\\NLP', strict=True))


def go_scalar(text: str) -> str:
    """Return a text without line breaks as a YAML value in Go's style: plain, single-quoted or double-quoted."""
    if _reads_as_another_type(text) or _NOT_PRINTABLE.search(text):
        return f'"{"".join(map(_escaped, text))}"'
    return "'" + text.replace("'", "''") + "'" if _NOT_PLAIN.search(text) else text


def _reads_as_another_type(text: str) -> bool:
    if text in _WORDS or _BASE_60.fullmatch(text):
        return True
    digits = _UNDERSCORE.sub("", text) if text.startswith(".") else text.replace("_", "")
    return text[:1] in "+-.0123456789" and (_is_float(digits) or _is_integer(digits) or _is_moment(text))


def _is_float(text: str) -> bool:
    return _FLOAT.fullmatch(text) is not None and math.isfinite(float(text))


def _is_integer(text: str) -> bool:
    """Return whether it is an integer of another base that has 64 bits; those of base 10 are floats as well."""
    if not _INTEGER.fullmatch(text):
        return False
    negative, digits = text.startswith("-"), text.lstrip("+-").lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2])
    try:
        value = int(digits[2:] if base else digits, base or 8)
    except ValueError:
        return False
    return value <= 2**63 if negative else value < (2**63 if text.startswith("+") else 2**64)


def _is_moment(text: str) -> bool:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(found[group] or 0) for group in (1, 2, 3, 6, 7, 8))
    try:
        datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return False
    return True


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return "\\" + _ESCAPES[character]
    if not _NOT_PRINTABLE.match(character):
        return character
    code = ord(character)
    letter, digits = next((letter, digits) for letter, digits in (("x", 2), ("u", 4), ("U", 8)) if code < 16**digits)
    return f"\\{letter}{code:0{digits}X}"
