"""Packages that kpt has rendered, and how to have it render them again: `python -m tests.kpt.like_kpt KPT`.

What the kpt of that path makes of each case is written to `data/like_kpt.json`. Its functions are this module's, as
executables: `python -m tests.kpt.like_kpt function OPERATION`.
"""

import asyncio
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver

RECORDED = Path(__file__).parent / "data" / "like_kpt.json"

_ROOT = Path(__file__).parents[2]
_PATH, _LEGACY_PATH = "internal.config.kubernetes.io/path", "config.kubernetes.io/path"
_INDEX, _LEGACY_INDEX = "internal.config.kubernetes.io/index", "config.kubernetes.io/index"
_PACKAGE = "internal.config.kubernetes.io/package-path"
_LOG = "LIKE_KPT_LOG"
_ROOT_FOLDER = "root"

Item = dict[str, Any]
List = dict[str, Any]


def _config_map(name: str, **annotations: str) -> Item:
    metadata: Item = {"name": name, **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "y"}}


def _others(given: List) -> list[Item]:
    """All but the Kptfiles."""
    return [item for item in given["items"] if item["kind"] != "Kptfile"]


def _set(given: List) -> None:
    for item in _others(given):
        item.setdefault("data", {})["set"] = str(len(given["items"]))


def _configured(given: List) -> None:
    data = (given.get("functionConfig") or {}).get("data") or {}
    for item in _others(given):
        item.setdefault("data", {}).update(data)


def _add(**annotations: str) -> Callable[[List], None]:
    return lambda given: given["items"].append(_config_map("new", **annotations))


def _add_two(*indexes: str) -> Callable[[List], None]:
    def add(given: List) -> None:
        for name, index in zip(("one", "two"), indexes, strict=True):
            given["items"].append(_config_map(name, **{_PATH: "two.yaml", **({_INDEX: index} if index else {})}))

    return add


def _move(path: str, index: str) -> Callable[[List], None]:
    def move(given: List) -> None:
        for number, item in enumerate(_others(given)):
            item["metadata"]["annotations"] |= {path: f"moved/{number}.yaml", index: "0"}

    return move


def _into_one(given: List) -> None:
    for number, item in enumerate(reversed(_others(given))):
        item["metadata"]["annotations"] |= {_PATH: "one.yaml", _INDEX: str(number)}


def _swap(given: List) -> None:
    first, second, *_ = (item["metadata"]["annotations"] for item in _others(given))
    for key in (_PATH, _INDEX, _LEGACY_PATH, _LEGACY_INDEX, _PACKAGE):
        first[key], second[key] = second[key], first[key]


def _delete(number: int) -> Callable[[List], None]:
    return lambda given: given["items"].remove(_others(given)[number])


def _keep(*kinds: str) -> Callable[[List], None]:
    def keep(given: List) -> None:
        given["items"] = [item for item in given["items"] if item["kind"] in kinds]

    return keep


def _copy(path: str) -> Callable[[List], None]:
    def copy_first(given: List) -> None:
        item = copy.deepcopy(_others(given)[0])
        item["metadata"]["name"] += "-copy"
        item["metadata"]["annotations"] |= {_PATH: path, _LEGACY_PATH: path}
        given["items"].append(item)

    return copy_first


def _rename(given: List) -> None:
    for item in _others(given):
        item["metadata"]["name"] = "r-" + item["metadata"]["name"]


def _drop(*endings: str) -> Callable[[List], None]:
    def drop(given: List) -> None:
        for item in _others(given):
            annotations = item["metadata"]["annotations"]
            item["metadata"]["annotations"] = {k: v for k, v in annotations.items() if not k.endswith(endings)}

    return drop


def _results(given: List) -> None:
    place = {
        "resourceRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "a"},
        "field": {"path": "data.x", "currentValue": {"a": 1}, "proposedValue": 3},
        "file": {"path": "a.yaml", "index": 1},
    }
    given["results"] = [{"message": "look here", "severity": "warning", **place}, {"message": "so it is"}]


OPERATIONS: Mapping[str, Callable[[List], object]] = {
    "noop": lambda given: None,
    "set": _set,
    "configured": _configured,
    "add": _add(),
    "add-at": _add(**{_PATH: "deeper/new.yaml"}),
    "add-legacy": _add(**{_LEGACY_PATH: "deeper/new.yaml", _LEGACY_INDEX: "0"}),
    "add-absolute": _add(**{_PATH: "/new.yaml"}),
    "add-outside": _add(**{_PATH: "../new.yaml"}),
    "add-to-a-file": _add(**{_PATH: "many.yaml"}),
    "add-to-a-file-at": _add(**{_PATH: "many.yaml", _INDEX: "7"}),
    "add-two": _add_two("1", "0"),
    "add-two-at-one-place": _add_two("", ""),
    "add-nameless": lambda given: given["items"].append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
    "move": _move(_PATH, _INDEX),
    "move-legacy": _move(_LEGACY_PATH, _LEGACY_INDEX),
    "into-one": _into_one,
    "swap": _swap,
    "delete-first": _delete(0),
    "delete-last": _delete(-1),
    "keep-kptfiles": _keep("Kptfile"),
    "delete-all": _keep(),
    "copy": _copy("copy.yaml"),
    "copy-onto": _copy("a.yaml"),
    "rename": _rename,
    "reverse": lambda given: given["items"].reverse(),
    "drop-paths": _drop("/path", "/index"),
    "drop-legacy": _drop("config.kubernetes.io/id"),
    "results": _results,
}
"""What functions do to the list that they are given."""

FAILING = {
    "fail": (1, None, "it failed\n"),
    "fail-7": (7, b"", "seven\n"),
    "garbage": (0, b"{{{ not yaml: [", ""),
    "text": (0, b"hello\n", ""),
}
"""Functions that fail: exit code, output (None means the list), standard error."""


@dataclass(frozen=True)
class Case:
    """A package: pipelines by directory, in flow style with operations as images, and other files."""

    pipelines: Mapping[str, str]
    annotations: str = "{}"
    files: Mapping[str, str] = field(default_factory=dict)

    def content(self, image: Callable[[str], str]) -> dict[str, str]:
        """The files, with each operation written as `image` says."""
        files = {**_FILES, **self.files}
        for directory, pipeline in {"": "{}", "sub/": "{}", "sub/deep/": "{}", **self.pipelines}.items():
            kptfile = {
                "apiVersion": "kpt.dev/v1",
                "kind": "Kptfile",
                "metadata": {"name": directory.strip("/").replace("/", "-") or "root"},
                "pipeline": yaml.safe_load(pipeline),
            }
            if not directory and self.annotations != "{}":
                kptfile["metadata"]["annotations"] = yaml.safe_load(self.annotations)
            for function in [each for functions in kptfile["pipeline"].values() for each in functions]:
                key, value = image(function.pop("do")).split(" ", 1)
                function[key] = value
            files[directory + "Kptfile"] = yaml.safe_dump(kptfile, sort_keys=False)
        return files


_FILES = {
    "a.yaml": '# of a\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {app: p}\ndata:\n  x: "1"\n',
    "many.yaml": "kind: Secret\napiVersion: v1\nmetadata: {name: b, namespace: ns1}\n---\n"
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: c}\nspec: {replicas: 1}\n",
    "notes.md": "no resource\n",
    "sub/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {own: q}\n",
    "sub/deep/z.yml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\n",
}

_EVERYWHERE = "{mutators: [{do: set}, {do: noop}]}"
_SAVE = "kpt.dev/save-on-render-failure: 'true'"
_BREADTH_FIRST = "kpt.dev/bfs-rendering: 'true'"


def _alone(operation: str, place: str = "") -> Case:
    return Case({place: f"{{mutators: [{{do: {operation}}}, {{do: set}}]}}"})


CASES: Mapping[str, Case] = {
    **{f"{operation} in the root": _alone(operation) for operation in (*OPERATIONS, *FAILING)},
    **{
        f"{operation} in a subpackage": _alone(operation, "sub/")
        for operation in ("add-at", "move", "delete-all", "swap")
    },
    "everywhere": Case({"": _EVERYWHERE, "sub/": _EVERYWHERE, "sub/deep/": _EVERYWHERE}),
    "everywhere, breadth first": Case(
        {"": _EVERYWHERE, "sub/": _EVERYWHERE, "sub/deep/": _EVERYWHERE}, f"{{{_BREADTH_FIRST}}}"
    ),
    "a validator sees what mutators made, and its own changes are dropped": Case(
        {"": "{mutators: [{do: set}], validators: [{do: rename}, {do: results}]}"}
    ),
    "a validator fails": Case({"": "{mutators: [{do: set}], validators: [{do: fail}, {do: results}]}"}),
    "a selector by kind": Case({"": "{mutators: [{do: set, selectors: [{kind: Secret}]}]}"}),
    "selectors add up": Case({"": "{mutators: [{do: set, selectors: [{kind: Secret}, {name: z}]}]}"}),
    "the fields of a selector narrow": Case({"": "{mutators: [{do: set, selectors: [{kind: ConfigMap, name: a}]}]}"}),
    "a selector by label": Case({"": "{mutators: [{do: set, selectors: [{labels: {app: p}}]}]}"}),
    "a selector by annotation": Case({"": "{mutators: [{do: set, selectors: [{annotations: {own: q}}]}]}"}),
    "a selector that fits nothing": Case({"": "{mutators: [{do: set, selectors: [{name: nobody}]}]}"}),
    "an exclusion": Case({"": "{mutators: [{do: set, exclude: [{kind: ConfigMap}]}]}"}),
    "an exclusion of what is selected": Case(
        {"": "{mutators: [{do: set, selectors: [{kind: ConfigMap}], exclude: [{name: z}]}]}"}
    ),
    "a selected function adds and deletes": Case(
        {"": "{mutators: [{do: add, selectors: [{kind: Secret}]}, {do: delete-first, selectors: [{name: a}]}]}"}
    ),
    "a config map": Case({"": "{mutators: [{do: configured, configMap: {from: kptfile, number: '007'}}]}"}),
    "a config file": Case(
        {"sub/": "{mutators: [{do: configured, configPath: cfg.yaml}]}"},
        files={"sub/cfg.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {from: file}\n"},
    ),
    "a failure keeps what was saved before it": Case(
        {"": "{mutators: [{do: set}, {do: fail}]}", "sub/": "{mutators: [{do: rename}]}"}, f"{{{_SAVE}}}"
    ),
    "a failure breadth first keeps what was saved before it": Case(
        {"": "{mutators: [{do: set}]}", "sub/": "{mutators: [{do: rename}]}", "sub/deep/": "{mutators: [{do: fail}]}"},
        f"{{{_SAVE}, {_BREADTH_FIRST}}}",
    ),
    "ignored files": Case(
        {"": "{mutators: [{do: set}]}"}, files={".krmignore": "many.yaml\n", "sub/.krmignore": "deep\n"}
    ),
}


def answer(operation: str, given: bytes) -> tuple[int, bytes, str]:
    """What a function answers: exit code, output, standard error."""
    listed = yaml.safe_load(given)
    listed["items"] = listed.get("items") or []
    code, output, said = FAILING.get(operation, (0, None, ""))
    if operation in OPERATIONS:
        OPERATIONS[operation](listed)
    return code, yaml.safe_dump(listed, sort_keys=False).encode() if output is None else output, said


def seen(given: bytes) -> list[str]:
    """The items that a function is given, as package, path and name."""
    items = yaml.safe_load(given).get("items") or []
    return [_place(item) for item in items if item["kind"] != "Kptfile"]


def _place(item: Item) -> str:
    annotations = item["metadata"]["annotations"]
    # kpt gives the folder's path on the disk, which here is that of the root package.
    package = Path(annotations[_PACKAGE]).name.removeprefix(_ROOT_FOLDER)
    return f"{package} {annotations[_PATH]} {item['metadata']['name']}".strip()


def outcome(ok: object, files: Mapping[str, bytes], calls: list[Any]) -> dict[str, Any]:
    """What is compared: the result, the values in the files, the steps in the Kptfile, what functions were given."""
    return {"ok": bool(ok), "files": {path: _values(path, files[path]) for path in sorted(files)}, "calls": calls}


def _values(path: str, content: bytes) -> Any:
    if not path.endswith((".yaml", ".yml", "Kptfile")):
        return content.decode()
    documents = [each for each in yaml.safe_load_all(content) if each is not None]
    return [
        _steps(each) if path == "Kptfile" else each
        for each in documents
        if Path(path).name != "Kptfile" or path == "Kptfile"
    ]


def _steps(kptfile: dict[str, Any]) -> dict[str, Any]:
    status = kptfile.get("status") or {}
    rendered = status.get("renderStatus") or {}
    return {
        "conditions": [[each["type"], each["status"], each["reason"]] for each in status.get("conditions") or []],
        **{
            kind: [
                [
                    each.get("exitCode"),
                    (each.get("stderr") or "").strip(),
                    each.get("results"),
                    each.get("errorResults"),
                ]
                for each in rendered.get(kind) or []
            ]
            for kind in ("mutationSteps", "validationSteps")
        },
    }


async def ours(case: Case) -> dict[str, Any]:
    """What porchflow makes of a case."""
    calls: list[Any] = []

    async def evaluate(image: str, given: bytes) -> Evaluation:
        operation = image.partition("/")[2].partition(":")[0]
        calls.append([operation, seen(given)])
        code, output, said = answer(operation, given)
        if code:
            raise FunctionFailed(image, f"exit {code}", exit_code=code, stderr=said, resource_list=output)
        return Evaluation(output, said.encode())

    files = {path: text.encode() for path, text in case.content(lambda operation: f"image f/{operation}:v1").items()}
    # The kpt that was recorded gives a function its own configuration too.
    result = await render(files, evaluate, images=ImageResolver("f/"), shows_own_config=True)
    return outcome(result.ok, result.files, calls)


def kpts(kpt: str, case: Case) -> dict[str, Any]:
    """What kpt makes of a case."""
    with tempfile.TemporaryDirectory() as name:
        root, log = Path(name) / _ROOT_FOLDER, Path(name) / "log"
        command = f"exec {sys.executable} -m tests.kpt.like_kpt function"
        for path, text in case.content(lambda operation: f"{command} {operation}").items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        log.touch()
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), _LOG: str(log)}
        done = subprocess.run(
            [kpt, "fn", "render", "--allow-exec", str(root)], env=environment, capture_output=True, check=False
        )
        files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        return outcome(done.returncode == 0, files, [json.loads(line) for line in log.read_text().splitlines()])


def _function(operation: str) -> int:
    given = sys.stdin.buffer.read()
    with Path(os.environ[_LOG]).open("a") as log:
        log.write(json.dumps([operation, seen(given)]) + "\n")
    code, output, said = answer(operation, given)
    sys.stdout.buffer.write(output)
    sys.stderr.write(said)
    return code


def _record(kpt: str) -> int:
    found = {name: kpts(kpt, case) for name, case in CASES.items()}
    lines = (f"{json.dumps(name)}: {json.dumps(what, sort_keys=True)}" for name, what in found.items())
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    different = [name for name, case in CASES.items() if asyncio.run(ours(case)) != found[name]]
    sys.stdout.write("".join(f"different: {name}\n" for name in different))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(_function(sys.argv[2]) if sys.argv[1] == "function" else _record(sys.argv[1]))
