"""Limits of a function's pods, from its FunctionConfig or the settings."""

import re
from dataclasses import dataclass

from porchflow.api.models.functionconfig import FunctionConfigSpec, PodExecutor
from porchflow.api.models.pods import PodTemplateOverrides
from porchflow.functions.builtin.catalog import configured, find
from porchflow.functions.config_tags import is_exact
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.executable import configured_executable
from porchflow.functions.runner_settings import PodSettings
from porchflow.kpt.format.images import parse_image

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 64
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True)
class Limits:
    """Limits of the pods of one image; see `PodSettings`.

    Attributes:
        time_to_live: Seconds that an unused pod is kept.
        max_pods: Pods at once.
        max_queue: Calls in one pod before another is started.
        overrides: Fields of the pod that a FunctionConfig sets; None for none.
    """

    time_to_live: float
    max_pods: int
    max_queue: int
    overrides: PodTemplateOverrides | None = None


def limits_of(image: str, configs: FunctionConfigs, settings: PodSettings) -> Limits:
    """Return the limits of an image.

    The FunctionConfig whose `podExecutor` lists the tag sets them, else the first with a `podExecutor` for the image;
    without one, the settings do. For a field that is zero, or a time that cannot be parsed, the setting counts.
    """
    executor = _executor_of(image, configs)
    if executor is None:
        return Limits(settings.pod_ttl, settings.max_parallel_pods_per_function, settings.max_waitlist_length)
    return Limits(
        parse_duration(executor.time_to_live) or settings.pod_ttl,
        max(0, executor.max_parallel_executions) or settings.max_parallel_pods_per_function,
        max(0, executor.preferred_max_queue_length) or settings.max_waitlist_length,
        executor.template_overrides,
    )


def _executor_of(image: str, configs: FunctionConfigs) -> PodExecutor | None:
    def tags_of(spec: FunctionConfigSpec) -> list[str] | None:
        return spec.pod_executor.tags if spec.pod_executor is not None else None

    name = parse_image(image)
    chosen = configs.chosen(name, tags_of)
    if chosen is not None:
        return chosen.pod_executor
    # Older releases of Porch read the tags for warming only: such a FunctionConfig limits its other tags too.
    return next((spec.pod_executor for spec in configs.matching(name) if spec.pod_executor is not None), None)


def warm_images(configs: FunctionConfigs, settings: PodSettings) -> set[str]:
    """Return the images that get a pod ahead of their first use: every listed tag, at the first prefix.

    Constraints on versions, and `*`, name no image that could be made ready.

    Images that never reach a pod, because a built-in function or an executable stands for them, are left out.
    """
    return {image for spec in configs.specs() for image in warm_images_of(spec, configs, settings)}


def warm_images_of(spec: FunctionConfigSpec, configs: FunctionConfigs, settings: PodSettings) -> list[str]:
    """Return those of `warm_images` that one FunctionConfig lists, in its order."""
    if not settings.warm_up_pod_cache:
        return []
    return [image for image in _listed(spec, configs) if not _runs_elsewhere(image, configs)]


def _listed(spec: FunctionConfigSpec, configs: FunctionConfigs) -> list[str]:
    if spec.pod_executor is None:
        return []
    prefix = (spec.prefixes[0] if spec.prefixes else "") or configs.default_image_prefix
    name = f"{prefix.rstrip('/')}/{spec.image}" if prefix else spec.image
    return [f"{name}:{tag}" if tag else name for tag in spec.pod_executor.tags if is_exact(tag)]


def _runs_elsewhere(image: str, configs: FunctionConfigs) -> bool:
    prefixes = (configs.default_image_prefix,) if configs.default_image_prefix else ()
    if configured(image, configs) or find(image, prefixes):
        return True
    return configured_executable(parse_image(image), configs) is not None


def parse_duration(text: str) -> float:
    """Return the seconds of a duration in Go's form, such as `1h30m`; 0 for any other text."""
    parts = _PART.findall(text[: _LONGEST + 1])
    if "".join(number + unit for number, unit in parts) != text:
        return 0.0
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
