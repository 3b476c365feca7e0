"""The settings of porchflow's processes: environment and flags, checked before anything starts."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import click
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from porchflow.api.limits import BUILTIN_SECONDS

ENV_PREFIX = "PORCHFLOW_"

_HIGHEST_PORT = 65_535
_METAVARS: Mapping[object, str] = {int: "INTEGER", float: "FLOAT", bool: "[true|false]"}

_STACK_VARIABLES = frozenset(
    ENV_PREFIX + name
    for name in (
        "STATE_DIR",
        "CACHE_DIR",
        "ETCD",
        "KUBE_APISERVER",
        "TEMPORAL",
        "API_PORT",
        "ETCD_PORT",
        "TEMPORAL_PORT",
        "UI_PORT",
        "GIT_LATENCY",
        "GIT_PORT",
        "RUNNER_PORT",
        "CONTENT_PORT",
        "WORKERS",
        "FUNCTION_RUNNER",
    )
)
"""Read by the embedded stack (`porchflow up`), not by the processes it starts."""


def _check_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if value and not (colon and 0 < number <= _HIGHEST_PORT and "://" not in host and not host.isspace()):
        raise ValueError("give host:port, such as 127.0.0.1:7233")
    return value


Address = Annotated[str, AfterValidator(_check_address)]
"""host:port; empty where nothing is set."""


class Settings(BaseSettings):
    """Everything that can be set, with its unit and default."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    temporal_address: Address = Field("127.0.0.1:7233", description="host:port of the Temporal frontend")
    temporal_namespace: str = Field("default", description="Temporal namespace of the workflows")
    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; unset means in-cluster credentials, else KUBECONFIG or ~/.kube/config"
    )
    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Kubernetes namespaces to work in, separated by commas; unset means all"
    )
    function_runner_address: Address = Field(
        "",
        validation_alias=AliasChoices("FUNCTION_RUNNER_ADDRESS", "function_runner_address"),
        description="host:port of the function runner; unset means that only builtin functions run, in the worker",
    )
    git_cache_dir: Path = Field(
        Path("~/.cache/porchflow/git"),
        validation_alias=AliasChoices("GIT_CACHE_DIR", "git_cache_dir"),
        description="folder of the bare Git caches, for all processes of a machine; may be deleted at any time",
    )
    default_image_prefix: str = Field(
        "ghcr.io/kptdev/krm-functions-catalog/",
        validation_alias=AliasChoices("DEFAULT_IMAGE_PREFIX", "default_image_prefix"),
        description="put before the name of a function image that has no registry",
    )
    queues: Annotated[tuple[Literal["reconcile", "render", "sync"], ...], NoDecode] = Field(
        ("reconcile", "render", "sync"),
        min_length=1,
        description="Temporal task queues to serve, separated by commas",
    )
    reconcile_slots: int = Field(50, ge=1, le=1000, description="activities of the reconcile queue at once, per worker")
    render_slots: int = Field(20, ge=1, le=1000, description="renderings at once, per worker")
    sync_slots: int = Field(4, ge=1, le=100, description="syncs of Repositories at once, per worker")
    sync_writes: int = Field(16, ge=1, le=200, description="objects that one sync writes at once")
    sync_seconds: float = Field(
        300.0, ge=1, description="seconds between two looks at the refs of a Repository without a schedule of its own"
    )
    full_sync_seconds: float = Field(
        3600.0, ge=1, description="seconds after which a sync compares all objects although no ref moved"
    )
    removed_grace_seconds: float = Field(
        600.0, ge=0, description="seconds an object is kept whose branch or tag is gone from Git"
    )
    annotated_repositories_only: bool = Field(
        default=False,
        description="touch only Repositories with the annotation porch.kpt.dev/v1alpha2-migration: true, where Porch"
        " runs besides",
    )
    cached_workflows: int = Field(1000, ge=0, description="workflow runs a worker keeps in memory; 0 replays each task")
    git_threads: int = Field(8, ge=1, le=256, description="threads for Git work, per worker")
    git_timeout: float = Field(30.0, gt=0, description="seconds a Git server may stay silent")
    function_timeout: float = Field(300.0, gt=0, description="seconds one function may run")
    builtin_function_timeout: float = Field(
        BUILTIN_SECONDS,
        gt=0,
        description="seconds a builtin function may run, starlark too; no longer than any other",
    )
    max_grpc_message_size: int = Field(
        6_291_456, ge=1024, description="bytes of one function call, each way; set the same on both sides"
    )
    function_runner_listen: Address = Field("0.0.0.0:9445", description="host:port where the function runner listens")
    function_processes: int = Field(
        2, ge=1, le=256, description="processes of the function runner for builtin functions, and executables at once"
    )
    watch_secrets: bool = Field(
        default=False,
        description="whether a changed Secret wakes at once what stalled on it, not only the next sync of its"
        " Repository; needs the right to list and watch Secrets, which lets its holder read them",
    )
    function_runner_tls_cert: Path | None = Field(
        None, description="PEM file with the function runner's certificate; unset means no encryption"
    )
    function_runner_tls_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    function_runner_client_ca: Path | None = Field(
        None,
        description="PEM file with the CA that certificates of the function runner's clients need; unset asks for none",
    )
    function_runner_ca: Path | None = Field(
        None, description="PEM file with the CA of the function runner's certificate; for workers"
    )
    function_runner_client_cert: Path | None = Field(
        None, description="PEM file with the certificate that workers show to the function runner"
    )
    function_runner_client_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    functions_dir: Path | None = Field(
        None, description="folder of executables that FunctionConfigs may name as functions; unset means none run"
    )
    function_config_namespace: str = Field(
        "", description="Kubernetes namespace whose FunctionConfigs the function runner follows; unset means none"
    )
    wrapper_server_image: str = Field(
        "",
        validation_alias=AliasChoices("WRAPPER_SERVER_IMAGE", "wrapper_server_image"),
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
    registry_credentials: Path | None = Field(
        None,
        description="Docker's config.json with credentials of registries; read for every look-up; unset means none",
    )
    registry_ca: Path | None = Field(None, description="PEM file with CAs of registries, beside the system's")
    insecure_registries: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="registries that speak plain HTTP, with their port, separated by commas"
    )
    allowed_images: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="registries and folders whose images may be looked up and run in pods, such as"
        " ghcr.io/kptdev/krm-functions-catalog, separated by commas; unset means all",
    )
    image_platform: str = Field(
        "",
        pattern=r"^(\w+/\w+)?$",
        description="platform of the nodes that run functions' pods, such as linux/amd64; unset means the runner's own",
    )
    metrics_address: Address = Field(
        "", description="host:port for the function runner's Prometheus metrics at /metrics; unset means none"
    )
    webhook_address: Address = Field(
        "",
        description="host:port where the watcher takes push webhooks of GitHub, GitLab and Gitea; unset means none;"
        " their secret is read from PORCHFLOW_WEBHOOK_SECRET",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="secret of these webhooks; several, separated by commas, while they are changed"
    )
    signals_in_flight: int = Field(32, ge=1, le=1000, description="calls of the watcher to Temporal at once")
    relist_seconds: float = Field(
        600.0,
        gt=0,
        description="seconds after which the watcher lists everything again and signals what is not converged",
    )
    content_address: Address = Field(
        "0.0.0.0:8443", description="host:port where the content API listens for the API server (HTTPS)"
    )
    content_tls_cert: Path | None = Field(
        None, description="PEM file with the content API's certificate; read again when it changes"
    )
    content_tls_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    content_service: str = Field(
        "",
        pattern=r"^([a-z0-9-]+/[a-z0-9-]+)?$",
        description="namespace/name of the Service of the content API, which then makes and renews its certificate"
        " itself, kept in the Secret NAME-tls of that namespace",
    )
    content_max_body: int = Field(
        6_291_456, ge=1024, description="bytes of one request to the content API, which is the size of a push"
    )
    content_timeout: float = Field(55.0, gt=0, description="seconds one request to the content API may take")
    content_rate: float = Field(50.0, gt=0, description="requests per second of one user to the content API")
    content_burst: int = Field(200, ge=1, description="requests at once of one user to the content API")
    content_cache: int = Field(134_217_728, ge=0, description="bytes of package content the content API keeps")
    content_watches: int = Field(100, ge=0, le=10_000, description="watches of package content at once")
    health_address: Address = Field("", description="host:port for /healthz, /readyz and /metrics; unset means none")
    temporal_metrics_address: Address = Field(
        "", description="host:port for the Prometheus metrics of Temporal's SDK at /metrics; unset means none"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")

    @field_validator("namespaces", "queues", "insecure_registries", "allowed_images", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value


TEMPORAL_SETTINGS: Final = ("temporal_address", "temporal_namespace")
"""What whoever connects to Temporal takes."""
RUNNER_SETTINGS: Final = (
    "function_runner_address",
    "function_runner_ca",
    "function_runner_client_cert",
    "function_runner_client_key",
)
"""What whoever calls the function runner takes."""
REGISTRY_SETTINGS: Final = ("registry_credentials", "registry_ca", "insecure_registries", "allowed_images")
"""What whoever looks images or their tags up takes."""


class SettingsError(click.ClickException):
    """A setting that cannot be used; ends the start with exit code 2."""

    exit_code = 2


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from the environment and flags; flags win.

    Args:
        flags: Settings given on the command line, by field name.

    Raises:
        SettingsError: An unknown `PORCHFLOW_` variable or a bad value; names it, and what would be right.
    """
    _refuse_unknown(os.environ)
    try:
        settings = Settings(**{name: value for name, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None
    return settings


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {variable_of(name, field) for name, field in Settings.model_fields.items()} | _STACK_VARIABLES
    unknown = sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]} in the environment; known are: {', '.join(sorted(known))}")


def _explain(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    # Where a setting has its variable's name from an alias, that is what pydantic calls it.
    by_variable = {variable_of(name, field): name for name, field in Settings.model_fields.items()}
    name = by_variable.get(str(problem["loc"][0]), str(problem["loc"][0]))
    told = str(problem["msg"]).removeprefix("Value error, ")
    return f"{told_name(name)}: {told}, got {problem.get('input')!r}"


def told_name(name: str) -> str:
    """Return how messages name a setting: its variable, then its flag."""
    return f"{variable_of(name, Settings.model_fields[name])} ({flag_of(name)})"


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


def variable_of(name: str, field: FieldInfo) -> str:
    """Return the environment variable that sets a field."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return ENV_PREFIX + name.upper()


_Command = TypeVar("_Command", bound=Callable[..., Any])


def settings_options(*names: str) -> Callable[[_Command], _Command]:
    """Give a click command one option per setting, documented from the model."""

    def decorate(command: _Command) -> _Command:
        for name in reversed(names):
            field = Settings.model_fields[name]
            shown = "" if field.default in (None, "", ()) else f"; default {_show(field.default)}"
            help_text = f"{field.description} [env {variable_of(name, field)}{shown}]"
            metavar = metavar_of(field)
            command = click.option(flag_of(name), name, default=None, metavar=metavar, help=help_text)(command)
        return command

    return decorate


def metavar_of(field: FieldInfo) -> str:
    """Return what help shows in the place of a setting's value."""
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return f"[{'|'.join(get_args(annotation))}]"
    if Path in {annotation, *get_args(annotation)}:
        return "PATH"
    return _METAVARS.get(annotation, "TEXT")


def _show(default: Any) -> str:  # noqa: ANN401 - the default of any field
    return ",".join(default) if isinstance(default, tuple) else str(default)
