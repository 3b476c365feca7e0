"""Checks of Kptfiles in a function's answer: a function may change one, but neither remove nor break it."""

from collections.abc import Callable, Sequence

from porchflow.kpt.format.function_paths import BadOutputError
from porchflow.kpt.format.kptfile import Kptfile, decode
from porchflow.kpt.format.resources import Resource, is_kptfile
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.kpt.render.pipeline_rules import check_pipeline
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.quoting import shown


def check_kptfiles(
    package: str, before: Sequence[Resource], after: Sequence[Resource], unseen: Callable[[str], bool]
) -> None:
    """Refuse a function's answer after which a package could not be read.

    A function may remove a subpackage as a whole, if no resource and no other file of it is left.

    Args:
        package: Directory of the package whose pipeline runs.
        before: Its resources before the function.
        after: Its resources after the function.
        unseen: Tells whether a directory holds files that functions do not get.

    Raises:
        BadOutputError: A Kptfile is gone, cannot be decoded, or has a pipeline that `check_pipeline` refuses.
    """
    old = {resource.full_path: resource for resource in before if is_kptfile(resource)}
    new: dict[str, Resource] = {}
    for resource in filter(is_kptfile, after):
        if resource.full_path in new:
            raise BadOutputError(f"it put more than one document into {shown(resource.full_path)}, the Kptfile")
        new[resource.full_path] = resource
    kept = {package, *(resource.package for resource in after)}
    for path, resource in old.items():
        if path not in new and (resource.package in kept or unseen(resource.package)):
            raise BadOutputError(f"it removed {shown(path)}: without a Kptfile a package is none")
    for path, resource in new.items():
        known = old.get(path)
        if known is None or known.value != resource.value:
            _check(path, known, resource, after)


def _check(path: str, known: Resource | None, resource: Resource, after: Sequence[Resource]) -> None:
    try:
        kptfile = decode(resource.document, path)
        before = decode(known.document, path) if known is not None else Kptfile()
        if kptfile.pipeline != before.pipeline:
            check_pipeline(kptfile, path, _configs(resource.package, after))
    except InvalidPackage as error:
        raise BadOutputError(f"it spoiled the Kptfile: {error}") from None


def _configs(package: str, resources: Sequence[Resource]) -> dict[str, list[Value]]:
    configs: dict[str, list[Value]] = {}
    for resource in resources:
        if resource.package == package:
            configs.setdefault(resource.path, []).append(resource.value)
    return configs
