import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functions.lists import config, items, results, run, said, text

UP_TO_DATE = "info: all `depends-on` annotations are up-to-date. no `namespace` changed"

RBAC = "apiVersion: rbac.authorization.k8s.io/v1\n"
CASES = {
    "set": ("kind: Pod\napiVersion: v1\nmetadata: {namespace: old} # c", "namespace: old", "namespace: new", 1),
    "absent counts as default": (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x",
        "name: x",
        "name: x\n  namespace: new",
        1,
    ),
    "already": ("apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: new", "", "", 0),
    "Namespace": ("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: old", "name: old", "name: new", 1),
    "unknown kind with namespace": ("apiVersion: a/v1\nkind: X\nmetadata:\n  namespace: old", "old", "new", 1),
    "unknown kind without": ("apiVersion: a/v1\nkind: X\nmetadata:\n  name: x", "", "", 0),
    "cluster-scoped": ("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: x", "", "", 0),
    "local configuration": (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    config.kubernetes.io/local-config: 'true'",
        "",
        "",
        0,
    ),
    "ClusterRoleBinding": (
        RBAC + "kind: ClusterRoleBinding\nsubjects:\n- kind: User\n- namespace: old # c",
        "namespace: old",
        "namespace: new",
        1,
    ),
    "RoleBinding subjects stay": (
        RBAC + "kind: RoleBinding\nmetadata:\n  namespace: x\nsubjects:\n- namespace: old",
        "namespace: x",
        "namespace: new",
        1,
    ),
    "APIService": (
        "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nspec:\n  service:\n    namespace: old",
        "old",
        "new",
        1,
    ),
    "APIService without service": ("apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nspec: {}", "", "", 0),
    "CRD": (
        (
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
            "spec: {conversion: {webhook: {clientConfig: {service: {namespace: old}}}}}"
        ),
        "old",
        "new",
        1,
    ),
    "CRD without webhook": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: x\nspec: {}",
        "",
        "",
        0,
    ),
}


@pytest.mark.parametrize(("item", "old", "new", "count"), CASES.values(), ids=CASES.keys())
def test_namespaces_are_set_where_the_kind_has_them(item: str, old: str, new: str, count: int) -> None:
    reply = run("set-namespace", item, function_config=config({"namespace": "new"}))
    assert reply.exit_code == 0
    assert items(reply) == [text(item).replace(old, new, 1) if old else text(item)]
    summary = said(reply)[0]
    if count:
        assert summary.endswith(f'] updated to "new", {count} value(s) changed')
    else:
        assert summary == 'info: all matching namespaces are already "new". no value changed'
    assert said(reply)[1] == UP_TO_DATE


def _pod(name: str, *lines: str) -> str:
    return "\n".join(["apiVersion: v1", "kind: Pod", "metadata:", f"  name: {name}", *(f"  {line}" for line in lines)])


def test_the_summary_names_all_old_namespaces() -> None:
    pods = [_pod("a", "namespace: z"), _pod("b", "namespace: y"), _pod("c"), _pod("d", "namespace: z")]
    reply = run("set-namespace", *pods, function_config=config({"namespace": "new"}))
    assert said(reply) == ['info: namespace [default y z] updated to "new", 4 value(s) changed', UP_TO_DATE]


def test_a_matcher_limits_the_change() -> None:
    pods = [
        _pod("a", "namespace: z"),
        _pod("b", "namespace: y"),
        _pod("c"),
        _pod("d", "namespace: q", "annotations:", "  internal.kpt.dev/upstream-identifier: '|Pod|z|d'"),
    ]
    reply = run("set-namespace", *pods, function_config=config({"namespace": "new", "namespaceMatcher": "z"}))
    after = [pods[0].replace("z", "new"), pods[1], pods[2] + "\n  namespace: default", pods[3].replace(": q", ": new")]
    assert items(reply) == [text(item) for item in after]
    assert said(reply) == [
        "info: [Resource(apiVersion=v1, kind=Pod, namespace=z, name=a)] has matching origin z",
        "info: [Resource(apiVersion=v1, kind=Pod, namespace=q, name=d)] has matching origin z",
        'info: namespace [q z] updated to "new", 2 value(s) changed',
        UP_TO_DATE,
    ]


def test_a_namespace_matches_by_its_name_upstream_and_a_binding_by_its_subjects() -> None:
    identifier = "annotations: {internal.kpt.dev/upstream-identifier: '%s'}"
    binding = f"metadata: {{name: b, {identifier % 'x|y|z|b'}}}\nsubjects: [{{namespace: z}}, {{namespace: y}}]\n"
    namespaces = [
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: z}\n",
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: q, {identifier % '|Namespace||z'}}}\n",
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: r, {identifier % '|Namespace|z|y'}}}\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n" + binding,
    ]
    reply = run("set-namespace", *namespaces, function_config=config({"namespace": "new", "namespaceMatcher": "z"}))
    after = [namespaces[0].replace("z", "new"), namespaces[1].replace("q", "new"), namespaces[2]]
    assert items(reply) == [*after, namespaces[3].replace("namespace: z", "namespace: new")]
    assert said(reply)[:2] == [
        "info: [Resource(apiVersion=v1, kind=Namespace, namespace=, name=z)] has matching origin z",
        "info: [Resource(apiVersion=v1, kind=Namespace, namespace=, name=q)] has matching origin z",
    ]


def test_a_dependency_on_another_namespaces_resource_stays() -> None:
    depending = _pod("b", "annotations:", "  config.kubernetes.io/depends-on: /namespaces/z/Pod/a")
    reply = run("set-namespace", _pod("a"), depending, function_config=config({"namespace": "new"}))
    assert "depends-on: /namespaces/z/Pod/a\n" in items(reply)[1]
    depending = depending.replace("/z/", "/default/")
    reply = run("set-namespace", _pod("a"), depending, function_config=config({"namespace": "new"}))
    assert "depends-on: /namespaces/new/Pod/a\n" in items(reply)[1]


@pytest.mark.parametrize(
    ("reference", "after"),
    [
        ("/namespaces/old/Pod/a", "/namespaces/new/Pod/a"),
        ("apps/namespaces/old/Deployment/d", "apps/namespaces/new/Deployment/d"),
        ("/namespaces/old/Pod/elsewhere", "/namespaces/old/Pod/elsewhere"),
        ("/Pod/a", "/Pod/a"),
        ("/namespaces/old/Pod/a,/namespaces/old/Pod/a", "/namespaces/old/Pod/a,/namespaces/old/Pod/a"),
    ],
)
def test_depends_on_follows_what_is_in_the_list(reference: str, after: str) -> None:
    pods = [
        _pod("a", "namespace: old"),
        _pod("b", "namespace: old", "annotations:", f"  config.kubernetes.io/depends-on: {reference}"),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n  namespace: old",
    ]
    reply = run("set-namespace", *pods, function_config=config({"namespace": "new"}))
    assert f"depends-on: {after}\n" in items(reply)[1]
    changed = 'info: `depends-on` annotation namespace [old] updated to "new", 1 value(s) changed'
    assert said(reply)[1] == (UP_TO_DATE if reference == after else changed)


EXPECTED = "`ConfigMap.v1` or `SetNamespace.v1alpha1.fn.kpt.dev`"
CONFIGS = {
    "none": (None, f"FunctionConfig is missing. Expect {EXPECTED}"),
    "no namespace": (config({"x": "y"}), "`data.namespace` should not be empty"),
    "empty context": (config({}, name="kptfile.kpt.dev"), "`data.name` should not be empty"),
    "own kind": ("apiVersion: fn.kpt.dev/v1alpha1\nkind: SetNamespace\n", "`namespace` should not be empty"),
    "other kind": (
        "apiVersion: x/v1\nkind: Y\nmetadata: {name: z}\n",
        f"unknown functionConfig Kind=Y ApiVersion=x/v1, expect {EXPECTED}",
    ),
}


@pytest.mark.parametrize(("given", "problem"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_wrong_configuration_is_an_error_result_only(given: str | None, problem: str) -> None:
    reply = run("set-namespace", _pod("a"), function_config=given)
    assert reply.exit_code == 0
    assert said(reply) == [f"error: {problem}"]
    assert results(reply)[0]["file"] == {"index": -1}
    assert items(reply) == [text(_pod("a"))]


@pytest.mark.parametrize(
    "given",
    [
        config({"name": "new"}, name="kptfile.kpt.dev"),
        "apiVersion: fn.kpt.dev/v1alpha1\nkind: SetNamespace\nnamespace: new\n",
    ],
)
def test_other_configurations_work(given: str) -> None:
    reply = run("set-namespace", _pod("a"), function_config=given)
    assert items(reply) == [text(_pod("a", "namespace: new"))]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(sorted(CASES)), max_size=5), st.sampled_from(["new", "default", "on", "123"]))
def test_setting_a_namespace_again_changes_nothing(cases: list[str], namespace: str) -> None:
    once = run("set-namespace", *(CASES[case][0] for case in cases), function_config=config({"namespace": namespace}))
    twice = run("set-namespace", *items(once), function_config=config({"namespace": namespace}))
    assert items(twice) == items(once)
    assert said(twice)[0] == f'info: all matching namespaces are already "{namespace}". no value changed'
