from typing import Any

import pytest
import yaml

from porchflow.functions.builtin.toolkit.name_references import NAME_REFERENCES
from tests.functions.lists import config, items, run
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT

ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: sa\n"


def named(kind: str, name: str, version: str = "v1", **fields: Any) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}, sort_keys=False)


def values(*given: str, **data: str) -> list[Any]:
    reply = run("ensure-name-substring", *given, function_config=config(data))
    assert reply.exit_code == 0, reply.log
    return [yaml.safe_load(item) for item in items(reply)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [({"prepend": "p-"}, "p-web"), ({"append": "-s"}, "web-s"), ({"prepend": "we"}, "web"), ({"append": "b"}, "web")],
)
def test_names_get_the_substring_unless_they_have_it(data: dict[str, str], expected: str) -> None:
    [deployment] = values(DEPLOYMENT, **data)
    assert deployment["metadata"]["name"] == expected


def test_references_follow() -> None:
    deployment, settings, account = values(DEPLOYMENT, CONFIG_MAP, ACCOUNT, prepend="p-")
    pod = deployment["spec"]["template"]["spec"]
    assert (
        pod["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"]["name"]
        == settings["metadata"]["name"]
        == "p-cfg"
    )
    assert pod["serviceAccountName"] == account["metadata"]["name"] == "p-sa"
    depends_on = settings["metadata"]["annotations"]["config.kubernetes.io/depends-on"]
    assert depends_on == "apps/namespaces/x/Deployment/p-web"


def test_references_to_what_is_not_in_the_package_stay() -> None:
    [deployment] = values(DEPLOYMENT, prepend="p-")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "sa"


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
        ("APIService", "apiregistration.k8s.io/v1"),
        ("Namespace", "v1"),
        ("Kptfile", "kpt.dev/v1"),
    ],
)
def test_some_kinds_keep_their_names(kind: str, version: str) -> None:
    [value] = values(named(kind, "n", version), prepend="p-")
    assert value["metadata"]["name"] == "n"


RBAC = "rbac.authorization.k8s.io"


def test_bindings_follow_roles_and_accounts() -> None:
    role = named("Role", "r", f"{RBAC}/v1", rules=[{"resources": ["configmaps"], "resourceNames": ["cfg", "other"]}])
    binding = named(
        "RoleBinding",
        "b",
        f"{RBAC}/v1",
        roleRef={"apiGroup": RBAC, "kind": "Role", "name": "r"},
        subjects=[
            {"kind": "ServiceAccount", "name": "sa", "namespace": "default"},
            {"kind": "ServiceAccount", "name": "sa", "namespace": "x"},
            {"kind": "User", "name": "sa"},
            {"kind": "ServiceAccount", "name": "z"},
        ],
    )
    cluster_role = named("ClusterRole", "r", f"{RBAC}/v1")
    new_role, new_binding, *_ = values(role, binding, cluster_role, ACCOUNT, CONFIG_MAP, prepend="p-")
    assert new_role["rules"][0]["resourceNames"] == ["p-cfg", "other"]
    assert new_binding["roleRef"]["name"] == "p-r"
    assert [subject["name"] for subject in new_binding["subjects"]] == ["p-sa", "sa", "sa", "z"]


def test_a_reference_in_another_namespace_is_another_resource() -> None:
    pod = named("Pod", "p", spec={"volumes": [{"configMap": {"name": "cfg"}}]})
    settings = CONFIG_MAP.replace("name: cfg", "name: cfg\n  namespace: x")
    for namespace, expected in (("x", "p-cfg"), ("y", "cfg"), ("", "cfg")):
        placed = yaml.safe_load(pod)
        placed["metadata"]["namespace"] = namespace
        new, _ = values(yaml.safe_dump(placed), settings, prepend="p-")
        assert new["spec"]["volumes"][0]["configMap"]["name"] == expected


def test_resources_of_one_name_in_two_subpackages_are_no_error() -> None:
    assert [value["metadata"]["name"] for value in values(CONFIG_MAP, CONFIG_MAP, prepend="p-")] == ["p-cfg", "p-cfg"]


def _holding(path: tuple[str, ...], name: Any) -> dict[str, Any]:
    value = name
    for step in reversed(path):
        value = {step: [value] if step in _LISTS else value}
    return dict(value)


_LISTS = {
    "containers",
    "initContainers",
    "volumes",
    "env",
    "envFrom",
    "rules",
    "imagePullSecrets",
    "sources",
    "tls",
    "paths",
}
ROWS = [(reference.target, field) for reference in NAME_REFERENCES for field in reference.referrers]


@pytest.mark.parametrize(("target", "field"), ROWS, ids=[f"{t.kind} in {f.kind} {'/'.join(f.path)}" for t, f in ROWS])
def test_every_field_of_the_table_is_followed(target: Any, field: Any) -> None:
    group = {"StorageClass": "storage.k8s.io", "PriorityClass": "scheduling.k8s.io"}.get(target.kind, target.group)
    version = "/".join(filter(None, (group, target.version or "v1")))
    takes_mapping = field.path[-1] in ("service", "subjects")
    referrer = {
        "apiVersion": "/".join(filter(None, (field.group, "v1"))),
        "kind": field.kind,
        "metadata": {"name": "p-referrer"},
    }
    held = _holding(field.path, {"name": "it"} if takes_mapping else "it")
    metadata = held.pop("metadata", {})
    referrer = {**referrer, **held, "metadata": {**referrer["metadata"], **metadata}}
    new, _ = values(yaml.safe_dump(referrer), named(target.kind, "it", version), prepend="p-")
    expected = _holding(field.path, {"name": "p-it"} if takes_mapping else "p-it")
    for key, value in expected.items():
        assert new[key] == value if key != "metadata" else new[key].items() >= value.items()


@pytest.mark.parametrize(
    ("function_config", "message"),
    [
        (config({}), "only 1 entry is allowed in the ConfigMap, but got: 0"),
        (config({"prepend": "a", "append": "b"}), "only 1 entry is allowed in the ConfigMap, but got: 2"),
        (config({"insert": "a"}), "unknown editMode: insert, only prepend and append are allowed"),
        (config({"prepend": ""}), "substring must not be empty"),
        ("apiVersion: v1\nkind: X\n", "function config must be either v1, Kind=ConfigMap or"),
    ],
)
def test_a_wrong_config_fails(function_config: str, message: str) -> None:
    reply = run("ensure-name-substring", DEPLOYMENT, function_config=function_config)
    assert reply.exit_code == 1
    assert reply.log.startswith(f"failed to load the `functionConfig`: {message}")


def test_additional_names_are_edited() -> None:
    function_config = """\
apiVersion: fn.kpt.dev/v1alpha1
kind: EnsureNameSubstring
metadata: {name: e}
substring: -s
editMode: append
additionalNameFields: [{path: data/list, kind: ConfigMap}]
"""
    [item] = items(run("ensure-name-substring", CONFIG_MAP, function_config=function_config))
    assert item == CONFIG_MAP.replace("name: cfg", "name: cfg-s").replace("nginx-1.0", "nginx-1.0-s")
