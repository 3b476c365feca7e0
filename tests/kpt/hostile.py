"""What nobody should put into a package, or answer as a function, and what is said of it.

Run as a program it renders them all, each with so much CPU time and memory only.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import yaml

from porchflow.kpt.render.evaluation import Evaluation, Evaluator
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.yamltext.split import split
from tests.kpt.rendering import config_map, without_status
from tests.kptfiles import kptfile

PREFIX = "example.com/fn/"
CPU_SECONDS = 10
MEMORY = 2 << 30
MIB = 1 << 20

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"
NOT_KRM = "input resource list must contain only KRM resources: "
HINT = "; see line {}; a file that is no Kubernetes resource can be named in .krmignore"
UTF_8 = "; save the file as UTF-8, or give a binary file another extension than .yaml, .yml, .json"
TEMPLATE = "a mapping key must be a scalar: quote a template such as '{{ x }}'"
NO_RESOURCE = f"{NOT_KRM}resource must have `apiVersion`, `kind`, and `name`"
TAB = "a tab cannot indent in YAML: use spaces"
DEEP = "nested deeper than 200 levels (the limit)"
ALIASES = "aliases expand to more than 100,000 nodes (the limit): use fewer of them"
INDENTATION = (
    "did not find expected key (while parsing a block mapping, which began {} lines above): mind the indentation"
)


def bomb(levels: str) -> str:
    """Keys of which each stands for nine times what the one before stands for."""
    return "a: &a [1]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(levels))


def _control(code: str, escape: str) -> str:
    return (
        f'line 6: character U+{code} is not allowed in YAML: remove it, or write it as {escape} in a text in "quotes"'
    )


def _line_end(code: str) -> str:
    return (
        "line 7: could not find expected ':' (while scanning a simple key, which began 1 line above):"
        f' U+{code} 1 line above ends a line in YAML; write it as \\u{code.lower()} in a text in "quotes"'
    )


SYNTAX: dict[str, tuple[str | Callable[[], str], str]] = {
    "alias bomb": (HEAD + bomb("abcdefghijkl"), f"line 10: {ALIASES}"),
    "merge bomb": (lambda: f"{HEAD}a: &a {{x: 1}}\nb: {{<<: [{'*a,' * 120_000}]}}\n", f"line 6: {ALIASES}"),
    "no anchor": (HEAD + "data: *x\n", "line 5: alias *x has no anchor before it: quote a text that begins with *"),
    "anchor in itself": (HEAD + "data: &d [*d]\n", "line 5: alias *d stands inside its own anchor"),
    "key twice": (
        HEAD + "data:\n  a: 1\n  b: 2\n  a: 3\n",
        'line 8: key "a" appears twice in one mapping, first 2 lines above: keep one of them',
    ),
    "key twice, quoted": (
        HEAD + "data: {a: 1, 'a': 3}\n",
        'line 5: key "a" appears twice in one mapping, first on this line: keep one of them',
    ),
    "long key twice": (
        lambda: f"{HEAD}? {'k' * MIB}\n: 1\n? {'k' * MIB}\n: 2\n",
        f'line 7: key "{"k" * 80}…" appears twice in one mapping, first 2 lines above: keep one of them',
    ),
    "long key": (
        lambda: f"{HEAD}data:\n  {'k' * 10 * MIB}: x\n",
        "line 6: mapping values are not allowed in this context: a key can have 1024 characters",
    ),
    "deep flow": (lambda: f"{HEAD}d: {'[' * 100_000}{']' * 100_000}\n", f"line 5: {DEEP}"),
    "deep flow maps": (lambda: f"{HEAD}d: {'{a: ' * 100_000}\n", f"line 5: {DEEP}"),
    "deep block": (
        lambda: f"{HEAD}d:\n{''.join(' ' * depth + 'a:' + chr(10) for depth in range(1, 3000))}",
        f"line 205: {DEEP}",
    ),
    "deep dashes": (lambda: f"{HEAD}d:\n{'- ' * 100_000}x\n", f"line 6: {DEEP}"),
    "tab": (HEAD + "data:\n\ta: b\n", f"line 6: {TAB}"),
    "tab between": (HEAD + "data:\n  a: b\n\t\n  c: d\n", f"line 7: {TAB}"),
    "merge of a text": (HEAD + "data:\n  <<: 3\n", "line 6: `<<` must name a mapping or a list of mappings"),
    "merge of texts": (HEAD + "data:\n  <<: [1]\n", "line 6: `<<` must name a mapping or a list of mappings"),
    "bell": (HEAD + "data:\n  a: é\x07c\n", _control("0007", "\\x07")),
    "escape": (HEAD + "data:\n  a: \x1b[31m\n", _control("001B", "\\x1b")),
    "C1": (HEAD + "data:\n  a: \x80\n", _control("0080", "\\x80")),
    "not a character": (HEAD + "data:\n  a: \ufffe\n", _control("FFFE", "\\ufffe")),
    "next line": (HEAD + "data:\n  a: b\x85c\n", _line_end("0085")),
    "line separator": (HEAD + "data:\n  a: b\u2028c\n", _line_end("2028")),
    "escaped surrogate": (
        HEAD + 'data:\n  a: "\\ud800"\n',
        "line 6: found invalid Unicode character escape code (while parsing a quoted scalar)",
    ),
    "list as key": (HEAD + "? [a, b]\n: c\n", f"line 5: {TEMPLATE}"),
    "template": (HEAD + "data:\n  a: {{ .Values.x }}\n", f"line 6: {TEMPLATE}"),
    "many anchors": (HEAD + f"a: {'&a ' * 1000}x\n", f"line 5: {INDENTATION.format(4)}"),
    "end marker": (
        HEAD + "...\n" + HEAD,
        "line 6: did not find expected <document start>: separate documents with a line `---`",
    ),
    "open quote": (
        HEAD + "data:\n  a: 'x\n  b: y\n",
        (
            "line 8: found unexpected end of stream (while scanning a quoted scalar, which began 2 lines above):"
            " close the quote"
        ),
    ),
    "open bracket": (
        HEAD + "data: {a: [1, 2}\n",
        "line 5: did not find expected ',' or ']' (while parsing a flow sequence)",
    ),
    "indentation": (HEAD + "data:\n   a: b\n  c: d\n", f"line 7: {INDENTATION.format(6)}"),
    "colon": (
        HEAD + "data:\n  a: b: c\n",
        (
            "line 6: mapping values are not allowed in this context: quote a text that has `: ` in it, and mind the"
            " indentation"
        ),
    ),
    "at sign": (HEAD + "data:\n  a: @x\n", "line 6: no value can begin with @ unless it is quoted"),
}
"""Documents that are no YAML, or none that is read: by name, with what is said of them."""

NO_TEXT: dict[str, tuple[bytes, str]] = {
    "UTF-16": (HEAD.encode("utf-16"), "line 1: byte 0xff is not UTF-8, but UTF-16; save the file as UTF-8"),
    "UTF-16, no mark": (
        HEAD.encode("utf-16-be"),
        "line 1: the file is binary: it has a NUL character, but UTF-16; save the file as UTF-8",
    ),
    "Latin 1": (f"{HEAD}data:\n  a: café\n".encode("latin-1"), "line 6: byte 0xe9 is not UTF-8" + UTF_8),
    "overlong": (HEAD.encode() + b"data:\n  a: \xc0\x80\n", "line 6: byte 0xc0 is not UTF-8" + UTF_8),
    "surrogate": (HEAD.encode() + b"data:\n  a: \xed\xa0\x80\n", "line 6: byte 0xed is not UTF-8" + UTF_8),
    "NUL": (HEAD.encode() + b"data:\n  a: b\0c\n", "line 6: the file is binary: it has a NUL character" + UTF_8),
}
"""Files that are no text."""

NO_RESOURCES: dict[str, tuple[str, str]] = {
    "list": ("- a\n- b\n", NO_RESOURCE + HINT.format(1)),
    "text": ("hello\n", NO_RESOURCE + HINT.format(1)),
    "number": ("3\n", NO_RESOURCE + HINT.format(1)),
    "null": ("null\n", NO_RESOURCE + HINT.format(1)),
    "second list": (HEAD + "---\n# c\n- a\n", NO_RESOURCE + HINT.format(6)),
    "kind is a list": (
        HEAD.replace("ConfigMap", "[a]"),
        f"{NOT_KRM}resource must have `kind` as a text" + HINT.format(1),
    ),
    "name is a number": (
        HEAD.replace(": c", ": 3"),
        f'{NOT_KRM}resource must have `metadata.name` as a text: write "3" in quotes' + HINT.format(1),
    ),
    "no metadata": (
        "apiVersion: v1\nkind: X\nmetadata: []\n",
        f"{NOT_KRM}resource must have `metadata.name`" + HINT.format(1),
    ),
    "List": (
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: X, metadata: {name: a}}]\n",
        f"{NOT_KRM}resource must have `metadata.name`; write the items of a list as documents of their own"
        + HINT.format(1),
    ),
    "separator": (
        HEAD + "--- foo\n",
        "line 5: invalid document separator: --- foo; begin the document on the next line",
    ),
    "long separator": (
        HEAD + "--- " + "x" * MIB,
        f"line 5: invalid document separator: --- {'x' * 76}…; begin the document on the next line",
    ),
}
"""YAML that is no Kubernetes resource."""

HARMLESS: dict[str, bytes | Callable[[], bytes]] = {
    "anchors": f"{HEAD}data: &d {{a: b}}\nmore: *d\n".encode(),
    "merge key": f"{HEAD}x: &x {{a: b}}\ndata:\n  <<: *x\n  c: d\n".encode(),
    "10 MiB plain": f"{HEAD}data:\n  a: {'x' * 10 * MIB}\n".encode,
    "10 MiB quoted": f"{HEAD}data:\n  a: '{'x' * 10 * MIB}'\n".encode,
    "10 MiB block": f"{HEAD}data:\n  a: |\n{('    ' + 'x' * 27 + chr(10)) * (10 * MIB // 32)}".encode,
    "tabs behind values": f"{HEAD}data:\n  a:\tb\tc\n".encode(),
    "Windows": HEAD.replace("\n", "\r\n").encode(),
    "old Mac": HEAD.replace("\n", "\r").encode(),
    "mixed line ends": f"{HEAD}data:\r\n  a: b\n".encode(),
    "byte order mark": f"\ufeff{HEAD}".encode(),
    "byte order mark inside": f"{HEAD}data:\n  \ufeffa: b\n".encode(),
    "empty": b"",
    "comment": b"# nothing\n",
    "separators": b"---\n---\n---\n",
    "many separators": b"---\n" * 200_000,
    "long number": f"{HEAD}a: {'9' * 1_000_000}\nb: 0x{'f' * 100_000}\nc: 1e999999999\n".encode(),
    "odd numbers": f"{HEAD}a: [.nan, -.inf, 0777, 0o7, 1_000, 0b11, 1:30, +1, 1.]\n".encode(),
    "escapes": f'{HEAD}data:\n  a: "\\x07\\0\\e"\n'.encode(),
    "keys of other types": f"{HEAD}d: {{1: a, true: b, ~: c}}\n".encode(),
    "tags": f"{HEAD}a: !!python/object/apply:os.system [ls]\nb: !!binary aGk=\nc: !!int x\nd: !foo x\n".encode(),
    "directive": f"%YAML 1.1\n---\n{HEAD}".encode(),
    "annotations are a list": f"{HEAD}  annotations: [a]\n".encode(),
    "annotations are a text": f"{HEAD}  annotations: a\n".encode(),
}
"""What looks dangerous and is read and kept, byte for byte."""


def _functions(text: str) -> str:
    return f"{HEAD}pipeline:\n  mutators:\n{text}"


KPTFILES: dict[str, tuple[Callable[[], str], str]] = {
    "list": (lambda: "- a\n", "a Kptfile must be a mapping with apiVersion, kind and metadata"),
    "empty": (lambda: "", "a Kptfile must be a mapping with apiVersion, kind and metadata"),
    "long kind": (
        lambda: f"apiVersion: v1\nkind: {'x' * MIB}\n",
        (
            f'unknown resource type "v1, Kind={"x" * 80}…" found in Kptfile;'
            " expected apiVersion kpt.dev/v1 and kind Kptfile"
        ),
    ),
    "long field": (
        lambda: f"{HEAD}? {'x' * MIB}\n: 1\n",
        f"error reading Kptfile: line 6: field {'x' * 80}… not found in the Kptfile",
    ),
    "many fields": (
        lambda: HEAD + "".join(f"k{number}: x\n" for number in range(100_000)),
        "error reading Kptfile: "
        + "; ".join(f"line {number + 5}: field k{number} not found in the Kptfile" for number in range(10))
        + " and 99990 more",
    ),
    "long image": (
        lambda: _functions(f"  - image: {'A' * MIB}\n"),
        (
            f'Kptfile is invalid:\nField: `pipeline.mutators[0].image`\nValue: "{"A" * 300}…"\n'
            f'Reason: function name "{"A" * 300}…" is invalid'
        ),
    ),
    "long configPath": (
        lambda: _functions(f"  - {{image: f, configPath: {'x' * MIB}}}\n"),
        (
            f'Kptfile is invalid:\nField: `pipeline.mutators[0].configPath`\nValue: "{"x" * 300}…"\n'
            "Reason: functionConfig must exist in the current package"
        ),
    ),
}
"""Kptfiles that are YAML, but no Kptfiles. The head of a ConfigMap stands for that of a Kptfile."""

IGNORE: dict[str, tuple[str, str]] = {
    "stars": ("*a" * 30 + "b\n", ""),
    "directories": ("**/a/" * 20 + "b\n", ""),
    "range": ("ok\n[z-a]\n", "line 2: the pattern [z-a] cannot be read; mind what is in [brackets]"),
    "empty class": ("[]\n", "line 1: the pattern [] cannot be read; mind what is in [brackets]"),
    "brackets": ("[" * 256 + "\n", ""),
    "many brackets": (("[" * 100 + "\n") * 500, ""),
    "blanks": (" " * 250 + "x\n", ""),
    "large": ("?" * 10 * MIB, "more than 65,536 characters (the limit); name directories"),
    "long": ("ok\n" + "?" * 257, "line 2: a pattern of more than 256 characters (the limit); name directories"),
    "many": ("x*\n" * 501, "line 501: more than 500 patterns (the limit); name directories"),
}
"""Patterns of a .krmignore; with an empty message they are read."""

LIST = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n"
ITEMS = """\
items:
- apiVersion: kpt.dev/v1
  kind: Kptfile
  metadata:
    name: p
    annotations: {internal.config.kubernetes.io/path: Kptfile, internal.config.kubernetes.io/index: '0'}
  pipeline:
    mutators: [{image: f}]
- apiVersion: v1
  kind: ConfigMap
  metadata:
    name: c
    annotations: {internal.config.kubernetes.io/path: d/x.yaml, internal.config.kubernetes.io/index: '0'}
  data: {a: b}
"""
OUTSIDE = "function must not modify resources outside of package: resource has path {} (item 3 of its answer)"
ONLY_KRM = "output resource list must contain only KRM resources: {} (item {} of its answer)"
ELSEWHERE = "a resource cannot be put at {}; choose another path annotation"
LONG_PATH = "a name can have 255 bytes, a path 4000: choose a shorter one"
FOUND = "expected a ResourceList, found {}"


def added(path: str, index: str = "0", name: str = "n", **more: str) -> str:
    """An item that a function made."""
    annotations = {
        f"internal.config.kubernetes.io/{key}": value for key, value in {"path": path, "index": index}.items()
    }
    annotations |= {f"internal.config.kubernetes.io/{key.replace('_', '-')}": value for key, value in more.items()}
    metadata = {"name": name, "annotations": annotations}
    return f"- {json.dumps({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': metadata})}\n"


def _answer(*more: str) -> str:
    return LIST + ITEMS + "".join(more)


def _path(path: str, problem: str) -> tuple[str, str]:
    return _answer(added(path)), f"resource has path '{problem} (item 3 of its answer)"


ANSWERS: dict[str, tuple[str | bytes | Callable[[], str], str]] = {
    "above": (_answer(added("../x.yaml")), OUTSIDE.format("../x.yaml")),
    "above, inside": (_answer(added("a/../../x.yaml")), OUTSIDE.format("a/../../x.yaml")),
    "above the root": (_answer(added("/../x.yaml")), OUTSIDE.format("/../x.yaml")),
    "other package": (
        _answer(added("x.yaml", package_path="/../x")),
        "function must not modify resources outside of package: resource has package path /../x (item 3 of its answer)",
    ),
    "backslash": _path("..\\x.yaml", "..\\x.yaml': path must not have a backslash: put `/` between directories"),
    "NUL": _path("a\0b.yaml", "a\\x00b.yaml': path must not have control characters"),
    "line end": _path("a\nb.yaml", "a\\nb.yaml': path must not have control characters"),
    "escape in path": _path("a\x1b[2Jb.yaml", "a\\x1b[2Jb.yaml': path must not have control characters"),
    "no path": _path("", "': path must not have empty or `.` segments, or a NUL character"),
    "Git's own": _path(".git/config", ".git/config': path must not lead into a .git directory"),
    "Git's own, shouted": _path("a/.GIT/config", "a/.GIT/config': path must not lead into a .git directory"),
    "Git's own, short": _path(
        "GIT~1/config",
        "GIT~1/config': path must not lead into a .git directory (`git~1` is its short name on Windows)",
    ),
    "long name": _path("é" * 130, f"{'é' * 80}…': {LONG_PATH}"),
    "long path": _path("a/" * 2100 + "x.yaml", f"{'a/' * 40}…': {LONG_PATH}"),
    "long resource name": (
        lambda: LIST + ITEMS + f"- {{apiVersion: v1, kind: X, metadata: {{name: {'x' * MIB}}}}}\n",
        f"resource has path 'x_{'x' * 78}…': {LONG_PATH} (item 3 of its answer)",
    ),
    "path is a map": (
        LIST + ITEMS + "- {apiVersion: v1, kind: X, metadata: {name: x, annotations: "
        "{internal.config.kubernetes.io/path: {a: 1}}}}\n",
        "a resource has the path annotation {'a': 1}: it must be a text (item 3 of its answer)",
    ),
    "index below 0": (
        _answer(added("a.yaml", "-1")),
        "resource has index '-1', expected a number from 0 to 999999999 (item 3 of its answer)",
    ),
    "long index": (
        _answer(added("a.yaml", "9" * 100_000)),
        f"resource has index '{'9' * 80}…', expected a number from 0 to 999999999 (item 3 of its answer)",
    ),
    "one place": (
        _answer(added("a.yaml"), added("a.yaml", name="z")),
        'resource at path "a.yaml" and index "0" already exists; give one of them another path or index annotation',
    ),
    "taken place": (
        _answer(added("d/x.yaml")),
        'resource at path "d/x.yaml" and index "0" already exists; give one of them another path or index annotation',
    ),
    "two cases": (
        _answer(added("A.yaml"), added("a.yaml", name="z")),
        ELSEWHERE.format("A.yaml: it differs from a.yaml by case only, which some file systems ignore"),
    ),
    "another case": (
        _answer(added("D/X.yaml")),
        ELSEWHERE.format("D/X.yaml: it differs from d/x.yaml by case only, which some file systems ignore"),
    ),
    "another case of an unseen file": (
        _answer(added("Logo.png")),
        ELSEWHERE.format("Logo.png: it differs from logo.png by case only, which some file systems ignore"),
    ),
    "in a file": (_answer(added("d/x.yaml/y.yaml")), ELSEWHERE.format("d/x.yaml/y.yaml: d/x.yaml is a file")),
    "in a new file": (
        _answer(added("n"), added("n/y.yaml", name="z")),
        ELSEWHERE.format("n: that is a directory"),
    ),
    "in an unseen file": (_answer(added("logo.png/y")), ELSEWHERE.format("logo.png/y: logo.png is a file")),
    "a directory": (_answer(added("d")), ELSEWHERE.format("d: that is a directory")),
    "an unseen file": (
        _answer(added("logo.png")),
        ELSEWHERE.format("logo.png: there is a file that functions do not get, and it would be lost"),
    ),
    "an ignored file": (
        _answer(added("ignored.yaml")),
        ELSEWHERE.format("ignored.yaml: there is a file that functions do not get, and it would be lost"),
    ),
    "words": ("Hello World\n", FOUND.format("a text")),
    "words before": (
        "starting\n" + _answer(),
        (
            "line 2: mapping values are not allowed in this context: quote a text that has `: ` in it, and mind the"
            " indentation"
        ),
    ),
    "a number": ("3\n", FOUND.format("a text")),
    "a list": ("- a\n", FOUND.format("a list")),
    "null": ("null\n", FOUND.format("nothing")),
    "JSON": ('{"a": 1}', "expected a ResourceList, found no kind"),
    "other kind": (f"kind: {'x' * 100}\nitems: []\n", f"expected a ResourceList, found kind '{'x' * 80}…'"),
    "binary": (
        b"\x7fELF\x01",
        'line 1: character U+007F is not allowed in YAML: remove it, or write it as \\x7f in a text in "quotes"',
    ),
    "not UTF-8": (_answer().encode() + b"# \xff\n", "line 17: byte 0xff is not UTF-8"),
    "UTF-16": (_answer().encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
    "no YAML": (_answer("- a: [\n"), "line 18: did not find expected node content (while parsing a flow node)"),
    "tab": (_answer("-\tapiVersion: v1\n\tkind: X\n"), f"line 17: {TAB}"),
    "two lists": (_answer("---\n", _answer()), "line 17: a second document begins here, expected one"),
    "items twice": (
        _answer("items: []\n"),
        'line 17: key "items" appears twice in one mapping, first 14 lines above: keep one of them',
    ),
    "key twice": (
        _answer("- apiVersion: v1\n  kind: X\n  kind: Y\n"),
        'line 19: key "kind" appears twice in one mapping, first 1 line above: keep one of them',
    ),
    "items are a map": (LIST + "items: {a: b}\n", "`items` of the ResourceList must be a list written in place"),
    "items are a text": (LIST + "items: hello\n", "`items` of the ResourceList must be a list written in place"),
    "item is null": (_answer("- \n"), ONLY_KRM.format("an item is not a mapping", 3)),
    "item is a text": (_answer("- hello\n"), ONLY_KRM.format("an item is not a mapping", 3)),
    "item is a list": (_answer("- [a]\n"), ONLY_KRM.format("an item is not a mapping", 3)),
    "no kind": (
        _answer("- apiVersion: v1\n  metadata: {name: x}\n"),
        ONLY_KRM.format("_x.yaml: resource must have `kind`", 3),
    ),
    "no version": (
        _answer("- kind: X\n  metadata: {name: x}\n"),
        ONLY_KRM.format("x_x.yaml: resource must have `apiVersion`", 3),
    ),
    "no name": (
        _answer("- apiVersion: v1\n  kind: X\n"),
        ONLY_KRM.format("x_.yaml: resource must have `metadata.name`", 3),
    ),
    "name is a number": (
        _answer("- apiVersion: v1\n  kind: X\n  metadata: {name: 3}\n"),
        ONLY_KRM.format('x_.yaml: resource must have `metadata.name` as a text: write "3" in quotes', 3),
    ),
    "bomb": (_answer("- ", bomb("abcdefghijkl").replace("\n", "\n  "), "\n"), f"line 22: {ALIASES}"),
    "bomb of items": (
        lambda: (
            LIST + "items:\n- &a {apiVersion: v1, kind: X, metadata: {name: x}, x: [1, 1, 1]}\n" + "- *a\n" * 40_000
        ),
        f"line 7147: {ALIASES}",
    ),
    "deep": (lambda: _answer("- a: " + "[" * 100_000 + "\n"), f"line 17: {DEEP}"),
}
"""Answers of functions that cannot become part of the package, with the end of what is said of them."""

MANY = 5_000

_doubled = [f"- message: &{b} [{','.join([f'*{a}'] * 8)}]\n" for a, b in pairwise("abcde")]

FINE: dict[str, tuple[str | Callable[[], str], dict[str, int]]] = {
    "cleaned path": (_answer(added("a/../n.yaml")), {"n.yaml": 1}),
    "absolute path": (_answer(added("/etc/n.yaml")), {"etc/n.yaml": 1}),
    "Windows": (_answer(added("n.yaml")).replace("\n", "\r\n"), {"n.yaml": 1}),
    "byte order mark": ("\ufeff" + _answer(added("n.yaml")), {"n.yaml": 1}),
    "many items": (
        lambda: LIST + ITEMS + "".join(added("n.yaml", str(number), f"n{number}") for number in range(MANY)),
        {"n.yaml": MANY},
    ),
    "10 MiB": (lambda: _answer(added("n.yaml").replace("ConfigMap", "X" * 10 * MIB)), {"n.yaml": 1}),
    "many results": (
        lambda: _answer("results:\n", *(f"- {{message: m{number}, severity: warning}}\n" for number in range(MANY))),
        {},
    ),
    "long results": (
        lambda: _answer("results:\n- {message: ", "x" * MIB, ", field: {path: ", "y" * MIB, "}}\n"),
        {},
    ),
    "odd results": (
        _answer(
            "results:\n- hello\n- [a]\n- {message: [1, {a: .nan}], severity: [error], resourceRef: [x]}\n",
            f'- {{message: "a\\x07\\e[31mb\\0", severity: "\\uFFFE", file: {{path: [], index: 0x{"f" * 390}}}}}\n',
        ),
        {},
    ),
    "results are a text": (_answer("results: hello\n"), {}),
    "alias bomb in results": (_answer("results:\n- message: &a [1, 1, 1, 1, 1, 1, 1, 1]\n", *_doubled), {}),
}
"""Odd answers that are taken, with the documents in each file that they make."""


def text_of(content: str | bytes | Callable[[], str | bytes]) -> bytes:
    """What a table has, made now if it is large."""
    made = content() if callable(content) else content
    return made.encode() if isinstance(made, str) else made


def package(content: bytes = b"", ignore: bytes = b"ignored.yaml\n") -> dict[str, bytes]:
    """A package with one function, a resource, a file with the content, one that is no text and one that is ignored."""
    return {
        "Kptfile": kptfile("p", mutators="[{image: f}]"),
        "d/x.yaml": content or f"{HEAD}data: {{a: b}} # of c\n".encode(),
        "logo.png": b"\x89PNG\xff",
        "ignored.yaml": b"hello: [\n",
        ".krmignore": ignore,
    }


def as_kptfile(content: bytes) -> dict[str, bytes]:
    """A package whose Kptfile is the content, with the type of a Kptfile instead of that of a ConfigMap."""
    head = HEAD.replace("v1", "kpt.dev/v1").replace("ConfigMap", "Kptfile")
    return {"Kptfile": content.replace(HEAD.encode(), head.encode()), "c.yaml": config_map("c")}


Job = tuple[dict[str, bytes], bytes | None]
"""A package, and what its function answers; None for the very list it is given."""


def jobs() -> dict[str, Callable[[], Job]]:
    """All packages of the tables, by table and name, made when needed."""

    def file(content: Any) -> Job:
        return package(text_of(content)), None

    def kptfile_of(content: Any) -> Job:
        return as_kptfile(text_of(content)), None

    def ignore(content: Any) -> Job:
        return package(ignore=text_of(content)), None

    def answer(content: Any) -> Job:
        return package(), text_of(content)

    tables: list[tuple[str, Mapping[str, Any], Callable[[Any], Job]]] = [
        ("file", {name: content for name, (content, _) in {**SYNTAX, **NO_TEXT, **NO_RESOURCES}.items()}, file),
        ("Kptfile", {name: content for name, (content, _) in {**SYNTAX, **NO_TEXT}.items()}, kptfile_of),
        ("fields", {name: content for name, (content, _) in KPTFILES.items()}, kptfile_of),
        ("harmless", HARMLESS, file),
        ("ignore", {name: content for name, (content, _) in IGNORE.items()}, ignore),
        ("answer", {name: content for name, (content, _) in ANSWERS.items()}, answer),
        ("fine", {name: content for name, (content, _) in FINE.items()}, answer),
    ]
    return {
        f"{table}: {name}": partial(make, content) for table, cases, make in tables for name, content in cases.items()
    }


async def account(files: dict[str, bytes], evaluate: Evaluator) -> dict[str, Any]:
    """Render, and say what came of it.

    Returns:
        `ok`; `message`; `changed`: files that are not what they were, but for the Kptfile's status; `told`: whether the
        Kptfile says what the message says; `new`: documents by path of files that were not there.
    """
    outcome = await render(dict(files), evaluate, images=ImageResolver(PREFIX))
    after = {path: without_status(content) if path == "Kptfile" else content for path, content in outcome.files.items()}
    told = (
        yaml.safe_load(outcome.files["Kptfile"])["status"]["conditions"][0]
        if outcome.files["Kptfile"] != files["Kptfile"]
        else {}
    )
    return {
        "ok": outcome.ok,
        "message": outcome.message,
        "changed": sorted(path for path in files if after.get(path) != files[path]),
        "told": told.get("message"),
        "new": {path: len(split(after[path].decode())) for path in after.keys() - files.keys()},
        "size": len(outcome.files["Kptfile"]),
    }


def _say(came: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(came) + "\n")
    sys.stdout.flush()


async def _render_all() -> None:
    for name, make in jobs().items():
        files, answer = make()
        _say({"name": name})
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))

        async def evaluate(_: str, resource_list: bytes, answer: bytes | None = answer) -> Evaluation:
            return Evaluation(resource_list if answer is None else answer)

        try:
            came = await account(files, evaluate)
        except Exception as error:  # noqa: BLE001 - each case is to be told of
            came = {"raised": repr(error)}
        _say({"name": name, **came})


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asyncio.run(_render_all())
