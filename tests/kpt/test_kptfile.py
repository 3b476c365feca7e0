from textwrap import dedent

import pytest

from porchflow.kpt.format.kptfile import Function, Selector, parse
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.kpt.render.pipeline_rules import check_pipeline

HEAD = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: p\n"
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def test_everything_a_kptfile_may_say() -> None:
    kptfile = parse(
        dedent("""\
        apiVersion: kpt.dev/v1
        kind: Kptfile
        metadata:
          name: p
          namespace: n
          labels: {a: b}
          annotations:
            kpt.dev/bfs-rendering: "TRUE"
            kpt.dev/save-on-render-failure: "true"
        upstream: {type: git, git: {repo: r, directory: /d, ref: v1}, updateStrategy: resource-merge}
        upstreamLock:
          type: generic
          git: {repo: r, directory: /d, ref: v1, commit: abc}
          generic: {storeID: s, resourceID: r, resourceVersion: "1"}
        info:
          site: s
          emails: [e]
          license: l
          licenseFile: f
          description: d
          keywords: [k]
          man: m
          readinessGates:
          - conditionType: Ready
          - conditionType: Other
        pipeline:
          mutators:
          - image: a
            name: first
            tag: v1
            configMap: {n: 1, t: true, f: 1.10, e: , s: x}
            selectors: [{apiVersion: v1, kind: K, name: n, namespace: ns, labels: {a: b}, annotations: {c: d}}]
            exclude: [{kind: X}]
          validators:
          - exec: ./x
            configPath: c.yaml
        inventory: {namespace: a, name: b, inventoryID: c, labels: {}, annotations: {}}
        status:
          conditions:
          - {type: Ready, status: "true", reason: r, message: m}
          - {type: Other, status: "no"}
          renderStatus:
            mutationSteps: [{image: x, exitCode: 0, somethingNew: 1}]
    """)
    )
    function = kptfile.pipeline.mutators[0]
    assert function.config_map == {"n": "1", "t": "true", "f": "1.10", "e": "", "s": "x"}
    assert function.exclude == [Selector(kind="X")]
    assert kptfile.bfs_rendering
    assert kptfile.save_on_render_failure
    assert kptfile.readiness_gates == ["Ready", "Other"]
    assert [condition.truth for condition in kptfile.conditions] == ["True", "Unknown"]
    assert kptfile.upstream_lock is not None
    assert kptfile.upstream_lock.generic is not None
    assert kptfile.upstream_lock.generic.resource_version == "1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("apiVersion: kpt.dev/v1alpha2\nkind: Kptfile\n", 'old resource version "kpt.dev/v1alpha2" found in Kptfile'),
        ("apiVersion: v1\nkind: ConfigMap\n", 'unknown resource type "v1, Kind=ConfigMap" found in Kptfile'),
        ("a: [\n", "error reading Kptfile: yaml: line 2: did not find"),
        ("- a\n", "must be a mapping"),
        (HEAD + "foo: 1\n", "line 5: field foo not found in the Kptfile"),
        (HEAD + "  creationTimestamp: null\n  x: 1\n", "line 6: field x not found in metadata"),
        (HEAD + "pipeline:\n  mutators:\n  - imge: x\n", "line 7: field imge not found in pipeline.mutators.0"),
        (HEAD + "pipeline:\n  mutators: x\n", "line 6: field pipeline.mutators must be a list"),
        (HEAD + "info:\n  description: [x]\n", "line 6: field info.description must be a string"),
    ],
)
def test_a_wrong_kptfile_is_refused_with_the_line(text: str, problem: str) -> None:
    with pytest.raises(InvalidPackage) as raised:
        parse(text, "sub/Kptfile")
    assert problem in str(raised.value)
    assert str(raised.value).startswith("sub/Kptfile: ")


RULES = {
    "nothing to run": ({}, "pipeline.mutators[0]", "", "must specify a functon (`image` or `exec`) to execute"),
    "both": (
        {"image": "a", "exec": "b"},
        "pipeline.mutators[0]",
        "",
        "must not specify both `image` and `exec` at the same time",
    ),
    "bad image": ({"image": "A B"}, "pipeline.mutators[0].image", "A B", 'function name "A B" is invalid'),
    "two configs": (
        {"image": "a", "config_map": {"a": "b"}, "config_path": "c.yaml"},
        "pipeline.mutators[0]",
        "",
        "functionConfig must not specify both `configMap` and `configPath` at the same time",
    ),
    "blank path": (
        {"image": "a", "config_path": " "},
        "pipeline.mutators[0].configPath",
        " ",
        "path must not be empty",
    ),
    "absolute": (
        {"image": "a", "config_path": "/c.yaml"},
        "pipeline.mutators[0].configPath",
        "/c.yaml",
        "path must be relative",
    ),
    "outside": (
        {"image": "a", "config_path": "../c.yaml"},
        "pipeline.mutators[0].configPath",
        "../c.yaml",
        "path must not be outside the package",
    ),
    "missing": (
        {"image": "a", "config_path": "x.yaml"},
        "pipeline.mutators[0].configPath",
        "x.yaml",
        "functionConfig must exist in the current package",
    ),
    "two documents": (
        {"image": "a", "config_path": "two.yaml"},
        "pipeline.mutators[0].configPath",
        "two.yaml",
        'functionConfig "two.yaml" must not contain more than one config, got 2',
    ),
    "empty": (
        {"image": "a", "config_path": "empty.yaml"},
        "pipeline.mutators[0].configPath",
        "empty.yaml",
        'functionConfig "empty.yaml" must not be empty',
    ),
    "no resource": (
        {"image": "a", "config_path": "bad.yaml"},
        "pipeline.mutators[0].configPath",
        "bad.yaml",
        'functionConfig "bad.yaml": resource must have `apiVersion`',
    ),
}


@pytest.mark.parametrize(("function", "field", "value", "reason"), RULES.values(), ids=RULES.keys())
def test_a_wrong_pipeline_is_refused_in_kpts_words(
    function: dict[str, object], field: str, value: str, reason: str
) -> None:
    configs = {"c.yaml": [CONFIG], "two.yaml": [CONFIG, CONFIG], "empty.yaml": [], "bad.yaml": [{"kind": "X"}]}
    kptfile = parse(HEAD)
    pipeline = kptfile.pipeline.model_copy(update={"mutators": [Function(**function)]})  # type: ignore[arg-type]
    with pytest.raises(InvalidPackage) as raised:
        check_pipeline(kptfile.model_copy(update={"pipeline": pipeline}), "Kptfile", configs)
    lines = ["Kptfile is invalid:", f"Field: `{field}`", *([f'Value: "{value}"'] if value else []), f"Reason: {reason}"]
    assert raised.value.reason == "\n".join(lines)


@pytest.mark.parametrize("path", ["c.yaml", "./c.yaml", "d/../c.yaml", "a..b/c.yaml"])
def test_config_paths_inside_the_package_are_fine(path: str) -> None:
    kptfile = parse(HEAD + f"pipeline:\n  validators:\n  - image: a\n    configPath: {path}\n")
    check_pipeline(kptfile, "Kptfile", {"c.yaml": [CONFIG], "a..b/c.yaml": [CONFIG]})


@pytest.mark.parametrize(
    "image",
    [
        "a",
        "a:v1",
        "gcr.io/kpt-fn/a",
        "localhost:5000/a/b_c.d--e:V1.2-x",
        "a@sha256:" + "0" * 64,
        "a:v1@sha256:" + "0" * 64,
    ],
)
def test_image_names_of_the_grammar_pass(image: str) -> None:
    check_pipeline(parse(HEAD + f"pipeline:\n  mutators:\n  - image: {image}\n"), "Kptfile", {})
