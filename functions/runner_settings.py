"""Settings of functions: their calls, the function runner, their pods and their registries."""

from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from porchflow.api.host_port import HostPort
from porchflow.api.limits import BUILTIN_SECONDS
from porchflow.api.networks import DENIED_BY_DEFAULT, checked_networks
from porchflow.functions.registry.private import PrivateImages


def registry_of(place: str) -> str:
    """Return the registry of a folder of images, such as `ghcr.io/kptdev/krm-functions-catalog/`."""
    return place.strip("/").partition("/")[0]


class CallSettings(BaseModel, frozen=True):
    """Settings that are the same for callers and runners of functions."""

    default_image_prefix: str = Field(
        "ghcr.io/kptdev/krm-functions-catalog/",
        description="put before the name of a function image that has no registry",
    )
    function_timeout: float = Field(300.0, gt=0, description="seconds one function may run")
    builtin_function_timeout: float = Field(
        BUILTIN_SECONDS,
        gt=0,
        description="seconds a built-in function may run, starlark too; no longer than any other",
    )
    own_config_among_items: bool = Field(
        default=False,
        description="give a function the resource of its configPath among its items too, as kpt 1.0.0-beta.62 does",
    )
    max_grpc_message_size: int = Field(
        6_291_456, ge=1024, description="bytes of one function call, each way; set the same on both sides"
    )

    @property
    def builtin_seconds(self) -> float:
        """Seconds that a built-in function may run."""
        return min(self.function_timeout, self.builtin_function_timeout)

    @property
    def image_prefixes(self) -> tuple[str, ...]:
        """Registries besides the catalog's own whose images the built-in functions stand for."""
        return (self.default_image_prefix,) if self.default_image_prefix else ()


class RunnerClientSettings(BaseModel, frozen=True):
    """Address of the function runner, and the certificates of the connection to it."""

    address: HostPort = Field(
        "",
        description="host:port of the function runner; unset means that only built-in functions run, in the worker",
    )
    ca: Path | None = Field(None, description="PEM file with the CA of the function runner's certificate; for workers")
    client_cert: Path | None = Field(
        None, description="PEM file with the certificate that workers show to the function runner"
    )
    client_key: Path | None = Field(None, description="PEM file with the key of that certificate")


class RunnerListenSettings(BaseModel, frozen=True):
    """Address on which the function runner listens, and its certificate."""

    listen: HostPort = Field("0.0.0.0:9445", description="host:port where the function runner listens")
    tls_cert: Path | None = Field(
        None, description="PEM file with the function runner's certificate; unset means no encryption"
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    client_ca: Path | None = Field(
        None,
        description="PEM file with the CA that certificates of the function runner's clients need; unset asks for none",
    )


class RunnerSettings(BaseModel, frozen=True):
    """The function runner's processes, executables and FunctionConfigs."""

    function_processes: int = Field(
        2, ge=1, le=256, description="processes of the function runner for built-in functions, and executables at once"
    )
    functions_dir: Path | None = Field(
        None, description="folder of executables that FunctionConfigs may name as functions; unset means none run"
    )
    function_config_namespace: str = Field(
        "", description="Kubernetes namespace whose FunctionConfigs the function runner follows; unset means none"
    )


class PodSettings(BaseModel, frozen=True):
    """Functions in pods; a FunctionConfig's `podExecutor` goes before these times and numbers of pods."""

    wrapper_server_image: str = Field(
        "",
        description="image with the server that runs functions in pods, such as Porch's; unset means no pods",
    )
    pod_namespace: str = Field("porch-fn-system", min_length=1, description="Kubernetes namespace of functions' pods")
    pod_ttl: float = Field(1800.0, ge=1, description="seconds an unused pod of a function is kept")
    pod_start_timeout: float = Field(60.0, gt=0, description="seconds a call waits for a pod of its function")
    max_parallel_pods_per_function: int = Field(2, ge=1, le=1000, description="pods of one function at once")
    max_waitlist_length: int = Field(1, ge=1, le=1000, description="calls in one pod before its function gets another")
    warm_up_pod_cache: bool = Field(
        default=True, description="whether the tags that FunctionConfigs list get a pod ahead of the first use"
    )
    image_platform: str = Field(
        "",
        pattern=r"^(\w+/\w+)?$",
        description="platform of the nodes that run functions' pods, such as linux/amd64; unset means the runner's own",
    )


class RegistrySettings(BaseModel, frozen=True):
    """Access to the registries of function images."""

    registry_credentials: Path | None = Field(
        None,
        description="Docker's config.json with credentials of registries; read for every look-up; unset means none",
    )
    registry_ca: Path | None = Field(None, description="PEM file with CAs of registries, beside the system's")
    insecure_registries: tuple[str, ...] = Field(
        (), description="registries that speak plain HTTP, with their port, separated by commas"
    )
    allowed_images: tuple[str, ...] = Field(
        (),
        description="registries and folders whose images may be looked up and run in pods, such as"
        " ghcr.io/kptdev/krm-functions-catalog, separated by commas; unset means all",
    )
    private_images: tuple[str, ...] = Field(
        (),
        description="registries and folders whose images are for one namespace only, such as"
        " registry.example.com/team-a=team-a, separated by commas; several entries give one place several namespaces",
    )
    namespace_registry_secret: str = Field(
        "",
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        max_length=63,
        description="name of the pull secret (kubectl create secret docker-registry) with which a namespace brings"
        " credentials for its function images, such as porchflow-function-images; unset means that namespaces bring"
        " none",
    )
    denied_registries: tuple[str, ...] = Field(
        DENIED_BY_DEFAULT,
        description="networks whose registries the authors of packages may not take images from, separated by commas:"
        " add the cluster's networks of Services and pods; a registry that another setting names may be anywhere",
    )

    @field_validator("denied_registries")
    @classmethod
    def _are_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return checked_networks(texts)

    @field_validator("private_images")
    @classmethod
    def _are_private(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        PrivateImages(texts)
        return texts

    @property
    def named_registries(self) -> tuple[str, ...]:
        """Registries that the administrator named."""
        return (*self.insecure_registries, *map(registry_of, self.allowed_images))
