"""starlark v0.4 and v0.5: runs a Starlark program of the functionConfig on the resources.

The interpreter is starlark-rust. Other than the catalog's, it has no `while`, a `set` is a dict without values,
`ctx.environment` is empty, and `load` finds the modules of `starlark_modules` only: nothing reaches the network.

Source: docs/reference/kpt-functions.md, "starlark".
"""

import json
import math
import re
from collections import defaultdict, deque

import starlark

from porchflow.api.limits import MADE_CHARACTERS, PRINTED_CHARACTERS
from porchflow.functions.builtin.toolkit.kubernetes_schemas import open_api
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item
from porchflow.functions.builtin.toolkit.starlark_modules import MODULES
from porchflow.kpt.format.krm import krm_problem, map_of, text_of
from porchflow.yamltext.document import dump
from porchflow.yamltext.nodes import Value

_DEFAULT_NAME = "starlark-function-run"
_DEFAULT_NAME_0_4 = "stalark-function-run"
_ORIGIN = ("internal.config.kubernetes.io/path", "internal.config.kubernetes.io/index")
_POSITION = re.compile(r"^[ \t]*-->[ \t]*(.+)$", re.MULTILINE)

_PRELUDE = """
def _member(): pass
def set(elements = []): return {element: _member for element in elements}

def _name(function): return str(function).split(".")[-1]

def _is_set(value):
    if type(value) != "dict" or not value: return False
    return all([type(each) == "function" and _name(each) == "_member" for each in value.values()])

def _shown(value, depth = 0):
    kind = type(value)
    if depth > 20 or kind not in ("dict", "list", "tuple", "function"): return repr(value)
    if kind == "function": return "<function %s>" % _name(value)
    if _is_set(value): return "set([%s])" % ", ".join([_shown(each, depth + 1) for each in value])
    if kind == "dict":
        return "{%s}" % ", ".join(["%s: %s" % (repr(key), _shown(value[key], depth + 1)) for key in value])
    parts = ", ".join([_shown(each, depth + 1) for each in value])
    if kind == "list": return "[%s]" % parts
    return "(%s,)" % parts if len(value) == 1 else "(%s)" % parts

def print(*values, sep = " "):
    _print(sep.join([value if type(value) == "string" else _shown(value) for value in values]))

def _walk(top, change):
    stack = [top]
    for _ in range(1 << 30):
        if not stack: break
        value = stack.pop()
        for key in (list(value) if type(value) == "dict" else range(len(value))):
            new = change(value[key])
            if type(new) == "tuple": new = list(new)
            if new != None: value[key] = new
            if type(value[key]) in ("dict", "list"): stack.append(value[key])
    return top

def _marked(value):
    if type(value) == "tuple": return value
    special = type(value) == "float" and str(value).strip("+-").lower() in ("inf", "nan")
    return {_mark: str(value)} if special else None

def _unmarked(value):
    return float(value[_mark]) if type(value) == "dict" and list(value) == [_mark] else None

_list = json.decode(_input)
if _has_marks: _walk(_list, _unmarked)
ctx = struct(resource_list = _list, environment = {}, open_api = json.decode(_open_api))
"""
_MARK = "porchflow.dev/not-finite"
"""Key of the mapping that stands for infinity or not-a-number, which JSON does not have."""

_HEADER = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList"}
_ANSWER = 'json.encode(ctx.resource_list["items"])'
_MARKED_ANSWER = 'json.encode(_walk(ctx.resource_list["items"], _marked))'
_NULL = "null"
_NOT_SUPPORTED = {
    "Parse error: cannot use reserved keyword `while`": (
        "`while` is not supported: write `for … in range(n)` and `break`"
    ),
    "Operation `serde::serialize` not supported on type `function`": (
        "resources cannot hold functions or sets: write `list(…)` around a set"
    ),
    "Object of type `dict` has no attribute `add`": (
        "a dict has no attribute `add`, nor has what `set(…)` makes: write `elements[element] = True`"
    ),
}
_PYTHON_ERROR = re.compile(r"^(?:[A-Z]\w+Error): ")
_WHOLE = 10**15

_DIALECT = starlark.Dialect.extended()
_DIALECT.enable_top_level_stmt = True
_DIALECT.enable_load = True
_DIALECT.enable_keyword_only_arguments = True
_DIALECT.enable_f_strings = True
_GLOBALS = starlark.Globals.extended_by([starlark.LibraryExtension.Json, starlark.LibraryExtension.StructType])


class _Output:
    """The output of a program, up to a limit."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._room = PRINTED_CHARACTERS

    def add(self, line: str) -> None:
        """Add a line."""
        if self._room <= 0:
            return
        self._lines.append(line if len(line) < self._room else f"{line[: self._room]}\n... the rest is cut")
        self._room -= len(line) + 1

    @property
    def text(self) -> str:
        """The printed lines."""
        return "\n".join(self._lines)


def run(call: Call) -> None:
    """Run the program; its changes of `ctx.resource_list["items"]` become the package's."""
    _run(call, _DEFAULT_NAME)


def run_0_4(call: Call) -> None:
    """Run the program as v0.4.3 does, where one without a name is called otherwise in messages."""
    _run(call, _DEFAULT_NAME_0_4)


def _run(call: Call, default_name: str) -> None:
    output = _Output()
    try:
        name, source = _read_config(call.config, default_name)
        items = _evaluate(name, source, call, output)
        call.items[:] = _merged(call.items, items)
    except FunctionError as error:
        call.say(str(error), "error")
        raise
    finally:
        call.log = output.text


def _read_config(config: Value, default_name: str) -> tuple[str, str]:
    """Return name and text of the program."""
    if not config:
        raise FunctionError("FunctionConfig is missing. Expect `ConfigMap` or `StarlarkRun`")
    kind, version = text_of(config, "kind"), text_of(config, "apiVersion")
    group = version.rpartition("/")[0]
    if (group, kind) == ("", "ConfigMap"):
        source = text_of(config, "data", "source")
    elif (group, kind) == ("fn.kpt.dev", "StarlarkRun"):
        source = text_of(config, "source")
    else:
        raise FunctionError(
            "`functionConfig` must be either v1, Kind=ConfigMap or fn.kpt.dev/v1alpha1, Kind=StarlarkRun, "
            f"but we got: {version}, Kind={kind}"
        )
    if not source:
        raise FunctionError("`source` must not be empty")
    return text_of(config, "metadata", "name") or default_name, source


def _evaluate(name: str, source: str, call: Call, output: _Output) -> list[Value]:
    """Return the items after the program ran.

    Args:
        name: Of the program, for messages.
        source: Its text.
        call: Items and functionConfig.
        output: Receives the printed lines.
    """
    module = starlark.Module()
    items = [item.value for item in call.items]
    whole = {**_HEADER, "items": items, "functionConfig": call.config}
    module["_mark"], module["_has_marks"] = _MARK, not _is_finite(whole)
    module["_input"] = json.dumps(whole if _is_finite(whole) else _with_marks(whole))
    module["_open_api"] = open_api() if "open_api" in source else "{}"
    module.add_callable("_print", output.add)
    try:
        starlark.eval(module, starlark.parse("prelude", _PRELUDE, _DIALECT), _GLOBALS)
        starlark.eval(module, starlark.parse(name, source, _DIALECT), _GLOBALS, starlark.FileLoader(_load))
        text = str(starlark.eval(module, starlark.parse(name, _ANSWER, _DIALECT), _GLOBALS))
        # The interpreter writes null for a number that is not finite; and it finds values that hold themselves, on
        # which a walk would never end.
        if _NULL in text:
            text = str(starlark.eval(module, starlark.parse(name, _MARKED_ANSWER, _DIALECT), _GLOBALS))
        return _made(name, text)
    except starlark.StarlarkError as error:
        raise FunctionError(_short(str(error))) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException" and _is_about_memory(str(error)):
            raise MemoryError(str(error)) from None
        raise


def _is_about_memory(message: str) -> bool:
    return "memory" in message or "capacity" in message


def _is_finite(value: Value) -> bool:
    """Return whether no number in a value is infinite or none."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return False
        stack += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return True


def _with_marks(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _with_marks(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_marks(each) for each in value]
    return {_MARK: str(float(value))} if isinstance(value, float) and not math.isfinite(value) else value


def _unmarked(mapping: dict[str, Value]) -> Value:
    return float(mapping[_MARK]) if mapping.keys() == {_MARK} else mapping


def _number(text: str) -> float:
    """Return a number with a fraction, or as a whole number where it is one, as the catalog writes quotients."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _WHOLE else number


def _made(name: str, text: str) -> list[Value]:
    """Return the items that a program leaves behind, as JSON."""
    if len(text) > MADE_CHARACTERS:
        raise FunctionError(f"{name}: the resources are {len(text)} characters; {MADE_CHARACTERS} are allowed")
    try:
        changed = json.loads(text, parse_float=_number, object_hook=_unmarked)
    except RecursionError:
        raise FunctionError(f"{name}: a resource is nested too deeply") from None
    except ValueError as error:
        raise FunctionError(f"{name}: a resource cannot be written: {error}") from None
    if not isinstance(changed, list):
        raise FunctionError(f'{name}: ctx.resource_list["items"] must stay a list')
    return changed


def _load(name: str) -> starlark.FrozenModule:
    module = starlark.Module()
    if name not in MODULES:
        raise FileNotFoundError(f"module {name} is not available; those that are: {', '.join(sorted(MODULES))}")
    for function, implementation in MODULES[name].functions.items():
        module.add_callable(f"_{function}", implementation)
    starlark.eval(module, starlark.parse(name, MODULES[name].program, _DIALECT), _GLOBALS)
    return module.freeze()


def _short(message: str) -> str:
    """Return the interpreter's message as one line: the error, and its place."""
    found = re.search(r"^error: (.*)$", message, re.MULTILINE)
    problem = found[1] if found else message.strip().splitlines()[-1]
    problem = _NOT_SUPPORTED.get(problem, _PYTHON_ERROR.sub("", problem))
    place = _POSITION.search(message)
    return f"{place[1].strip()}: {problem}" if place else problem


def _merged(before: list[Item], values: list[Value]) -> list[Item]:
    """Return the items for new values: an old one, changed where its value did, or a new one.

    The old one is found by its origin and its name, else by its origin alone: a program may rename a resource, and may
    add one with a copy of another's annotations.
    """
    merged: list[Item | None] = [None] * len(values)
    left = dict.fromkeys(before)
    for key_of in (_identity, _origin):
        by_key: defaultdict[tuple[str, ...], deque[Item]] = defaultdict(deque)
        for item in left:
            by_key[key_of(item.value)].append(item)
        for place, value in enumerate(values):
            alike = by_key[key_of(value)]
            if merged[place] is None and alike:
                found = alike.popleft()
                del left[found]
                found.replace(_with_fractions(found.value, value), by_position=False)
                merged[place] = found
    return [item or _new(value) for item, value in zip(merged, values, strict=True)]


def _with_fractions(old: Value, new: Value) -> Value:
    """Return the new value, with `1.0` where the old one has it and the new one `1`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: _with_fractions(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return [_with_fractions(*pair) for pair in zip(old, new, strict=False)] + new[len(old) :]
    is_same = isinstance(old, float) and (
        (type(new) is int and old == new) or (isinstance(new, float) and math.isnan(old) and math.isnan(new))
    )
    return old if is_same else new


def _origin(value: Value) -> tuple[str, ...]:
    annotations = map_of(value, "metadata", "annotations")
    return tuple(str(annotations.get(key, "")) for key in _ORIGIN)


def _identity(value: Value) -> tuple[str, ...]:
    metadata = map_of(value, "metadata")
    names = text_of(value, "apiVersion"), text_of(value, "kind"), text_of(metadata, "namespace")
    return (*_origin(value), *names, text_of(metadata, "name"))


def _new(value: Value) -> Item:
    problem = krm_problem("", value)
    if problem:
        raise FunctionError(f"the program made something that is no resource: {problem}")
    return Item(dump(value))
