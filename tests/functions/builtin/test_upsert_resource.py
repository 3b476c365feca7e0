import pytest
import yaml

from tests.functions.lists import items, run
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT

SAME = "apiVersion: v2\nkind: ConfigMap\nmetadata:\n  name: cfg\ndata:\n  z: '1'\n"


def annotations(item: str) -> dict[str, str]:
    return dict(yaml.safe_load(item)["metadata"].get("annotations", {}))


def test_a_resource_of_the_same_identity_is_replaced_where_it_stands() -> None:
    kept, replaced = items(run("upsert-resource", DEPLOYMENT, CONFIG_MAP, function_config=SAME))
    assert kept == DEPLOYMENT
    assert yaml.safe_load(replaced)["data"] == {"z": "1"}
    assert annotations(replaced) == {
        "internal.config.kubernetes.io/path": "d/b.yaml",
        "internal.config.kubernetes.io/index": "1",
    }


def test_another_resource_is_added() -> None:
    new = SAME.replace("name: cfg", "name: new\n  annotations: {config.kubernetes.io/target-path: e/f.yaml, a: b}")
    *kept, added = items(run("upsert-resource", DEPLOYMENT, CONFIG_MAP, function_config=new))
    assert kept == [DEPLOYMENT, CONFIG_MAP]
    assert annotations(added) == {"a": "b", "config.kubernetes.io/path": "e/f.yaml"}


def test_a_target_path_is_part_of_the_identity() -> None:
    elsewhere = SAME.replace("name: cfg", "name: cfg\n  annotations: {config.kubernetes.io/target-path: other.yaml}")
    assert len(items(run("upsert-resource", CONFIG_MAP, function_config=elsewhere))) == 2
    same = elsewhere.replace("other.yaml", "d/b.yaml")
    assert len(items(run("upsert-resource", CONFIG_MAP, function_config=same))) == 1


def test_a_list_upserts_each_of_its_items() -> None:
    both = yaml.safe_load(SAME), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(both)})
    found = [yaml.safe_load(item)["kind"] for item in items(run("upsert-resource", CONFIG_MAP, function_config=listed))]
    assert found == ["ConfigMap", "Secret"]


@pytest.mark.parametrize(
    ("function_config", "message"),
    [
        (None, "it is not given"),
        ("apiVersion: v1\nkind: ConfigMap\n", "resource must have `metadata.name`"),
        ("apiVersion: v1\nkind: List\nitems: [3]\n", "resource must have `apiVersion`"),
    ],
)
def test_a_wrong_config_fails(function_config: str | None, message: str) -> None:
    reply = run("upsert-resource", CONFIG_MAP, function_config=function_config)
    assert reply.exit_code == 1
    assert message in reply.log
