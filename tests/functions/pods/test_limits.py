from typing import Any

import pytest

from porchflow.api.functionconfig import FunctionConfig
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
