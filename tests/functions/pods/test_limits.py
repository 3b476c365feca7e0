from typing import Any

import pytest

from porchflow.api.models.functionconfig import FunctionConfig
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.pods.pod_limits import Limits, limits_of, parse_duration, warm_images
from porchflow.functions.runner_settings import PodSettings

SETTINGS = PodSettings(pod_ttl=100, max_parallel_pods_per_function=5, max_waitlist_length=6)


def configs(**specs: dict[str, Any]) -> FunctionConfigs:
    table = FunctionConfigs("r.io/default/")
    for name, spec in specs.items():
        table.put(("n", name), FunctionConfig.model_validate({"metadata": {"name": name}, "spec": spec}))
    return table


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m0s", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        (".5s", 0.5),
        ("0s", 0),
        ("", 0),
        ("5", 0),
        ("x5m", 0),
    ],
)
def test_durations_are_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_a_function_config_goes_before_the_settings_where_it_says_something() -> None:
    said = configs(
        tool={"image": "tool", "podExecutor": {"timeToLive": "1h", "maxParallelExecutions": 2}},
        other={"image": "other", "prefixes": ["r.io/a"], "podExecutor": {"preferredMaxQueueLength": 9}},
        builtin={"image": "built", "goExecutor": {"tags": ["v1"]}},
    )
    assert limits_of("r.io/x/tool:v9", said, SETTINGS) == Limits(3600, 2, 6)
    assert limits_of("r.io/a/other:v1", said, SETTINGS) == Limits(1800, 5, 9)
    assert limits_of("r.io/b/other:v1", said, SETTINGS) == Limits(100, 5, 6)
    assert limits_of("r.io/a/built:v2", said, SETTINGS) == Limits(100, 5, 6)


def test_the_function_config_that_lists_the_tag_sets_the_limits() -> None:
    def limited(seconds: int, *tags: str) -> dict[str, Any]:
        return {"image": "tool", "podExecutor": {"tags": list(tags), "timeToLive": f"{seconds}s"}}

    said = configs(
        a=limited(1, "*"),
        b=limited(2, ">= v0.4.0 < v0.5.0"),
        c=limited(3, "v0.4.1"),
        d=limited(4, "nothing >"),
        e=limited(5),
    )
    lived = {tag: limits_of(f"r.io/tool:{tag}", said, SETTINGS).time_to_live for tag in ("v0.4.1", "v0.4.2", "main")}
    assert lived == {"v0.4.1": 3, "v0.4.2": 1, "main": 1}
    said.remove(("n", "a"))
    assert limits_of("r.io/tool:v0.4.2", said, SETTINGS).time_to_live == 2
    # No tag fits: the first one, as in Porch's older releases, where these tags were for warming only.
    assert limits_of("r.io/tool:v9", said, SETTINGS).time_to_live == 2
    assert limits_of("r.io/tool@sha256:1", said, SETTINGS).time_to_live == 2


def test_only_exact_tags_get_pods_ahead_of_use() -> None:
    tags = ["*", ">= v0.4.0 < v0.5.0", "~0.4", "v0.4.x", "0.4.X", "1.*", "^v1", "v1 || v2", "no tag", "v0.4", "latest"]
    said = configs(a={"image": "a", "prefixes": ["r.io"], "podExecutor": {"tags": tags}})
    assert warm_images(said, SETTINGS) == {"r.io/a:v0.4", "r.io/a:latest"}


def test_images_that_a_constraint_gives_to_an_executable_get_no_pods() -> None:
    said = configs(
        a={"image": "a", "podExecutor": {"tags": ["v1.1", "v2"]}, "binaryExecutor": {"tags": ["^1"], "path": "a"}},
        b={"image": "b", "podExecutor": {"tags": ["v1.1"]}, "goExecutor": {"tags": ["*"], "id": "set-labels"}},
    )
    assert warm_images(said, SETTINGS) == {"r.io/default/a:v2"}


def test_pods_ahead_of_use_are_for_every_listed_tag() -> None:
    said = configs(
        a={"image": "a", "prefixes": ["r.io/x", "r.io/y"], "podExecutor": {"tags": ["v1", "v2"]}},
        b={"image": "b", "prefixes": [""], "podExecutor": {"tags": [""]}},
        c={"image": "c", "podExecutor": {}},
        d={
            "image": "d",
            "podExecutor": {"tags": ["v1", "v2", "v3"]},
            "binaryExecutor": {"tags": ["v1"], "path": "d"},
            "goExecutor": {"tags": ["v2"], "id": "set-labels"},
        },
        e={"image": "set-labels", "podExecutor": {"tags": ["v0.2"]}},
    )
    assert warm_images(said, SETTINGS) == {"r.io/x/a:v1", "r.io/x/a:v2", "r.io/default/b", "r.io/default/d:v3"}
    assert warm_images(said, PodSettings(warm_up_pod_cache=False)) == set()
