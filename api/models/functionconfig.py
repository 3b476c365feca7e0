"""FunctionConfig `config.porch.kpt.dev/v1alpha1`: the images of a function, and how it is evaluated."""

from typing import Final

from pydantic import ConfigDict, Field

from porchflow.api.models.base import INT64, ApiModel, KubeObject
from porchflow.api.models.definition import Column, ResourceDefinition, Rule, checked
from porchflow.api.models.pods import PodTemplateOverrides
from porchflow.api.names import CONFIG_GROUP, CONFIG_VERSION, FUNCTION_CONFIG_PLURAL

_TAGS: Final = "exact tags, constraints on versions such as '>= v0.4.0 < v0.5.0', or '*' for all"


class PodExecutor(ApiModel):
    """Evaluates the function in pods of its image."""

    tags: list[str] = Field(
        default_factory=list,
        description=f"Tags that the executor stands for: {_TAGS}. Exact tags get a pod ahead of the first use.",
    )
    time_to_live: str = Field(
        "30m", description="How long an unused pod is kept, such as 30m.", json_schema_extra={"format": "duration"}
    )
    max_parallel_executions: int = Field(
        0, description="Most pods of the function at once; the runner's default when 0 or not given."
    )
    preferred_max_queue_length: int = Field(
        0, description="Calls that wait for a pod before there is another; the runner's default when 0 or not given."
    )
    template_overrides: PodTemplateOverrides | None = Field(
        None, description="What the function's pods have that is not in the runner's pod template."
    )


class BinaryExecutor(ApiModel):
    """Evaluates the function with an executable beside the runner."""

    tags: list[str] = Field(min_length=1, description=f"Tags that the executable stands for: {_TAGS}.")
    path: str = Field(min_length=1, description="Path of the executable; absolute, or below the functions folder.")


class GoExecutor(ApiModel):
    """Evaluates the function in the process; the field's name is Porch's, where built-in functions are Go."""

    tags: list[str] = Field(min_length=1, description=f"Tags that the built-in function stands for: {_TAGS}.")
    id: str = Field("", description="Name of the built-in function; the image's when not given.")


_ANY_EXECUTOR: Final = Rule(
    "has(self.podExecutor) || has(self.binaryExecutor) || has(self.goExecutor)",
    "At least one configuration must be specified: podExecutor, binaryExecutor or goExecutor",
)


class FunctionConfigSpec(ApiModel):
    """The images of the function, and one or more ways to evaluate it."""

    model_config = ConfigDict(json_schema_extra=checked(_ANY_EXECUTOR))

    image: str = Field(min_length=1, description="Name of the function's image, without registry, folder and tag.")
    prefixes: list[str] = Field(
        default_factory=list,
        description="Registries and folders the image may come from; an empty one is the default image prefix, none at"
        " all is any.",
    )
    pod_executor: PodExecutor | None = Field(None, description="Evaluation in pods of the image.")
    binary_executor: BinaryExecutor | None = Field(None, description="Evaluation with an executable.")
    go_executor: GoExecutor | None = Field(None, description="Evaluation in the process.")


class FunctionConfigStatus(ApiModel):
    """Which processes use it, and what keeps them from it."""

    api_server_observed_generation: int | None = Field(
        None, description="The newest generation the content API has taken up.", json_schema_extra=INT64
    )
    function_runner_observed_generation: int | None = Field(
        None, description="The newest generation the function runner has taken up.", json_schema_extra=INT64
    )
    controller_observed_generation: int | None = Field(
        None, description="The newest generation the workers have taken up.", json_schema_extra=INT64
    )
    error: str = Field(
        "", description="Why it cannot be used, or why a tag that it lists has no pod; empty when all is well."
    )


class FunctionConfig(KubeObject):
    """How a KRM function is evaluated."""

    spec: FunctionConfigSpec
    status: FunctionConfigStatus = Field(default_factory=FunctionConfigStatus)


FUNCTION_CONFIG: Final = ResourceDefinition(
    model=FunctionConfig,
    group=CONFIG_GROUP,
    version=CONFIG_VERSION,
    plural=FUNCTION_CONFIG_PLURAL,
    columns=(
        Column("Server Applied", ".status.apiServerObservedGeneration", "integer"),
        Column("FnRunner Applied", ".status.functionRunnerObservedGeneration", "integer"),
        Column("Controller Applied", ".status.controllerObservedGeneration", "integer"),
    ),
)
