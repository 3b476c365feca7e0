"""Small packages to merge."""

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.kpt.merge.merge_result import UpdateOutcome
from porchflow.kpt.merge.update import update_package
from tests.kptfiles import kptfile


def config(name: str, data: str = "{}", more: str = "") -> bytes:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{more}data: {data}\n".encode()


def package(**files: bytes | None) -> dict[str, bytes]:
    """A package with a Kptfile; `a__b_yaml` stands for the path `a/b.yaml`."""
    named = {path.replace("__", "/").replace("_yaml", ".yaml"): content for path, content in files.items()}
    return {path: content for path, content in {"Kptfile": kptfile(), **named}.items() if content is not None}


def update(
    base: dict[str, bytes],
    upstream: dict[str, bytes],
    local: dict[str, bytes],
    strategy: UpdateStrategy = UpdateStrategy.RESOURCE_MERGE,
) -> UpdateOutcome:
    return update_package(strategy, base=base, upstream=upstream, local=local)
