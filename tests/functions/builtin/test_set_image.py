import pytest

from tests.functions.lists import config, items, run, said
from tests.functions.packages import DEPLOYMENT

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - image: IMAGE
"""
CASES = {
    "tag": ("nginx:1.0", {"newTag": "2"}, "nginx:2"),
    "tag of an untagged image": ("nginx", {"newTag": "2"}, "nginx:2"),
    "name keeps the tag": ("nginx:1.0", {"newName": "r.io/apache"}, "r.io/apache:1.0"),
    "name keeps the digest": ("nginx@sha256:1f", {"newName": "apache"}, "apache@sha256:1f"),
    "digest wins": ("nginx:1.0", {"newTag": "2", "digest": "sha256:2f"}, "nginx@sha256:2f"),
    "tag replaces a digest": ("nginx:1.0@sha256:1f", {"newTag": "2"}, "nginx:2"),
    "other image": ("nginx-unprivileged:1.0", {"newTag": "2"}, "nginx-unprivileged:1.0"),
    "other registry": ("r.io/nginx:1.0", {"newTag": "2"}, "r.io/nginx:1.0"),
    "the name is no pattern": ("nginy:1.0", {"name": "ngin.", "newTag": "2"}, "nginy:1.0"),
}


@pytest.mark.parametrize(("before", "data", "after"), CASES.values(), ids=CASES.keys())
def test_images_are_replaced(before: str, data: dict[str, str], after: str) -> None:
    function_config = config({"name": "nginx", **data})
    reply = run("set-image", POD.replace("IMAGE", before), function_config=function_config)
    assert items(reply) == [POD.replace("IMAGE", after).lstrip("\n")]
    assert said(reply) == [f"info: summary: updated a total of {int(before != after)} image(s)"]


def test_init_containers_are_found_and_comments_stay() -> None:
    [item] = items(run("set-image", DEPLOYMENT, function_config=config({"name": "nginx", "newTag": "2"})))
    assert item == DEPLOYMENT.replace("nginx:1.0", "nginx:2")


def test_additional_fields_are_searched() -> None:
    thing = "apiVersion: x/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n  all:\n  - img: nginx:1\n  - img: other:1\n"
    function_config = """\
apiVersion: fn.kpt.dev/v1alpha1
kind: SetImage
metadata: {name: x}
image: {name: nginx, newTag: "2"}
additionalImageFields: [{path: "spec/all[]/img", kind: Thing}]
"""
    assert items(run("set-image", thing, function_config=function_config)) == [thing.replace("nginx:1", "nginx:2")]


@pytest.mark.parametrize(
    ("function_config", "message"),
    [
        (config({"newTag": "1"}), "must specify `name`"),
        (config({"name": "nginx"}), "must specify one of `newName`, `newTag`, or `digest`"),
        (config({"name": "nginx", "tag": "1"}), "ConfigMap has wrong field name tag"),
        (None, "`FunctionConfig` is not given"),
        ("apiVersion: a.b/v1\nkind: C\n", "unknown FunctionConfig `C.a.b`, expect `SetImage.fn.kpt.dev` or"),
    ],
)
def test_a_wrong_config_fails(function_config: str | None, message: str) -> None:
    reply = run("set-image", DEPLOYMENT, function_config=function_config)
    assert reply.exit_code == 1
    assert said(reply)[0].startswith(f"error: {message}")
    assert items(reply) == [DEPLOYMENT]
