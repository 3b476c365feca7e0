"""The parts of a pod that a FunctionConfig can set: the fields and names are those of core/v1."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from porchflow.api.models.base import ATOMIC, INT64, ApiModel

_ATOMIC_MAP: Final[JsonDict] = {"x-kubernetes-map-type": "atomic"}

Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
            r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
        }
    ),
]
"""A resource quantity, such as 500m or 64Mi."""


class LocalReference(ApiModel):
    """A whole ConfigMap or Secret of the pod's namespace."""

    model_config = ConfigDict(json_schema_extra=_ATOMIC_MAP)

    name: str = Field("", description="Name of the object.")
    optional: bool = Field(default=False, description="Whether the pod starts without it.")


class KeySelector(LocalReference):
    """One key of a ConfigMap or Secret of the pod's namespace."""

    key: str = Field(description="The key.")


class FieldSelector(ApiModel):
    """A field of the pod."""

    model_config = ConfigDict(json_schema_extra=_ATOMIC_MAP)

    api_version: str = Field("", description="Version of the schema the path is written in; v1 when not given.")
    field_path: str = Field(description="Path of the field.")


class ResourceFieldSelector(ApiModel):
    """A resource of the container."""

    model_config = ConfigDict(json_schema_extra=_ATOMIC_MAP)

    container_name: str = Field("", description="The container; this one when not given.")
    resource: str = Field(description="The resource, such as limits.memory.")
    divisor: Quantity | None = Field(None, description="The unit the value is given in; 1 when not given.")


class FileKeySelector(ApiModel):
    """A key of an env file in a volume."""

    model_config = ConfigDict(json_schema_extra=_ATOMIC_MAP)

    volume_name: str = Field(description="The volume that holds the file.")
    path: str = Field(description="Path of the file in the volume.")
    key: str = Field(description="The key.")
    optional: bool = Field(default=False, description="Whether the pod starts without it.")


class EnvVarSource(ApiModel):
    """The source of a variable's value."""

    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    field_ref: FieldSelector | None = Field(None, description="A field of the pod.")
    resource_field_ref: ResourceFieldSelector | None = Field(None, description="A resource of the container.")
    file_key_ref: FileKeySelector | None = Field(None, description="A key of an env file in a volume.")


class EnvVar(ApiModel):
    """An environment variable."""

    name: str = Field(description="Name of the variable.")
    value: str = Field("", description="Its value.")
    value_from: EnvVarSource | None = Field(None, description="Where the value comes from, when it is not given here.")


class EnvFromSource(ApiModel):
    """A ConfigMap or Secret whose keys become variables."""

    prefix: str = Field("", description="Put before each key.")
    config_map_ref: LocalReference | None = Field(None, description="The ConfigMap.")
    secret_ref: LocalReference | None = Field(None, description="The Secret.")


class ResourceClaim(ApiModel):
    """A claim of the pod that the container uses."""

    name: str = Field(description="Name of the claim in the pod.")
    request: str = Field("", description="The request in the claim; all of it when not given.")


class ResourceRequirements(ApiModel):
    """The resources that a container needs of the node, and their limits."""

    requests: dict[str, Quantity] = Field(default_factory=dict, description="What is reserved.")
    limits: dict[str, Quantity] = Field(default_factory=dict, description="The most it may take.")
    claims: list[ResourceClaim] = Field(
        default_factory=list,
        description="Claims of the pod.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class ContainerOverrides(ApiModel):
    """Settings of one container; a given part replaces that part of the template."""

    resources: ResourceRequirements | None = Field(None, description="Resources of the container.")
    env_from: list[EnvFromSource] = Field(default_factory=list, description="Sources of environment variables.")
    env: list[EnvVar] = Field(default_factory=list, description="Environment variables.")


class SecurityProfile(ApiModel):
    """A seccomp or AppArmor profile."""

    type: str = Field(description="RuntimeDefault, Localhost or Unconfined.")
    localhost_profile: str = Field("", description="Name of the profile on the node, for Localhost.")


class SELinuxOptions(ApiModel):
    """The SELinux context."""

    level: str = Field("", description="SELinux level.")
    role: str = Field("", description="SELinux role.")
    type: str = Field("", description="SELinux type.")
    user: str = Field("", description="SELinux user.")


class Sysctl(ApiModel):
    """A kernel parameter."""

    name: str = Field(description="Name of the parameter.")
    value: str = Field(description="Its value.")


class WindowsOptions(ApiModel):
    """Settings of Windows containers."""

    gmsa_credential_spec: str = Field("", description="The GMSA credential spec itself.")
    gmsa_credential_spec_name: str = Field("", description="Name of the GMSA credential spec.")
    host_process: bool = Field(default=False, description="Whether the container runs on the host.")
    run_as_user_name: str = Field("", description="User of the container's process.")


class PodSecurityContext(ApiModel):
    """Security settings of the whole pod."""

    app_armor_profile: SecurityProfile | None = Field(None, description="AppArmor profile of the containers.")
    fs_group: int | None = Field(None, description="Group that owns the volumes.", json_schema_extra=INT64)
    fs_group_change_policy: str = Field("", description="When the volumes' owner is changed.")
    run_as_group: int | None = Field(None, description="Group of the processes.", json_schema_extra=INT64)
    run_as_non_root: bool | None = Field(None, description="Whether a container that would run as root is refused.")
    run_as_user: int | None = Field(None, description="User of the processes.", json_schema_extra=INT64)
    se_linux_change_policy: str = Field("", description="How volumes get the SELinux label.")
    se_linux_options: SELinuxOptions | None = Field(None, description="SELinux context of the containers.")
    seccomp_profile: SecurityProfile | None = Field(None, description="Seccomp profile of the containers.")
    supplemental_groups: list[Annotated[int, Field(json_schema_extra=INT64)]] = Field(
        default_factory=list, description="More groups of the processes.", json_schema_extra=ATOMIC
    )
    supplemental_groups_policy: str = Field("", description="How the image's groups are taken into account.")
    sysctls: list[Sysctl] = Field(default_factory=list, description="Kernel parameters.", json_schema_extra=ATOMIC)
    windows_options: WindowsOptions | None = Field(None, description="Settings of Windows containers.")


class PodTemplateOverrides(ApiModel):
    """Settings of the function's pods that replace those of the runner's pod template."""

    service_account_name: str = Field("", description="ServiceAccount of the pods.")
    security_context: PodSecurityContext | None = Field(None, description="Security settings of the pods.")
    init_container: ContainerOverrides | None = Field(
        None, description="The container that puts the wrapper server in place."
    )
    container: ContainerOverrides | None = Field(None, description="The container of the function.")
