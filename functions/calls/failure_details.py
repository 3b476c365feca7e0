"""A function's failure in gRPC: the status has one message, the trailing metadata has the rest."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from porchflow.api.limits import FAILURE_CHARACTERS, FAILURE_LOG_CHARACTERS, FAILURE_RESULTS_BYTES
from porchflow.functions.proto.evaluator_pb2 import FunctionFailure
from porchflow.kpt.format.krm import map_of
from porchflow.kpt.format.resource_list import compose_list, split_list
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.yaml_error import YamlError

METADATA_KEY = "porchflow-function-failure-bin"

MAX_METADATA_SIZE = 64 * 1024
"""Bytes of metadata that our clients accept; gRPC's default is 8 KiB."""


def status_message(failure: FunctionFailed) -> str:
    """Return the message of the status, in the words of Porch's runner.

    Without errors among the function's results, the failure's own message comes first, unless it contains the log.
    """
    results = _error_messages(failure.resource_list)
    parts = [f'failed to evaluate function "{failure.image}"']
    if failure.stderr and not results and failure.stderr not in failure.message:
        parts[0] += f": {failure.message}"
    if results:
        parts.append(f"with structured results: {'; '.join(results)}")
    if failure.stderr:
        parts.append(f"{'and' if results else 'with'} stderr: {failure.stderr}")
    if len(parts) == 1:
        return f"{parts[0]}: {failure.message}"[:FAILURE_CHARACTERS]
    return " ".join(parts)[:FAILURE_CHARACTERS]


def encode(failure: FunctionFailed) -> bytes:
    """Return the details of a failure, small enough for metadata; the last results are left out if they do not fit.

    Source: `FunctionFailure` in functions/proto/evaluator.proto.
    """
    return FunctionFailure(
        exit_code=failure.exit_code,
        stderr=failure.stderr[:FAILURE_LOG_CHARACTERS].encode(),
        resource_list=_results_only(failure.resource_list),
    ).SerializeToString()


def decode(metadata: Iterable[Any]) -> FunctionFailure | None:
    """Return the details that came with a status; None from a runner that is not ours, such as Porch's."""
    for key, value in metadata:
        if key == METADATA_KEY and isinstance(value, bytes):
            try:
                return FunctionFailure.FromString(value)
            except DecodeError:
                return None
    return None


def _results(resource_list: bytes | None) -> list[Value]:
    if not resource_list:
        return []
    try:
        results = split_list(resource_list).results
    except YamlError:
        return []
    return results if isinstance(results, list) else []


def _error_messages(resource_list: bytes | None) -> list[str]:
    results = [map_of(result) for result in _results(resource_list)]
    return [str(result.get("message", "")) for result in results if result.get("severity") == "error"]


def _results_only(resource_list: bytes | None) -> bytes:
    results = _results(resource_list)
    while results:
        encoded = compose_list([], results=results)
        if len(encoded) <= FAILURE_RESULTS_BYTES:
            return encoded
        results = results[: len(results) // 2]
    return b""
