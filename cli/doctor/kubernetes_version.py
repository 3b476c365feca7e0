"""The versions of Kubernetes that porchflow runs on, and the check of the one that is there."""

import re
from collections.abc import Mapping
from typing import Final

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError

MINIMUM: Final = (1, 30)
"""The first version with ValidatingAdmissionPolicies and the rules of our CRDs."""
RECORDS_FROM: Final = (1, 36)
"""The first version that serves MutatingAdmissionPolicies, which record approvers."""


def told(version: tuple[int, int]) -> str:
    """Return a version as text, such as `1.30`."""
    return ".".join(map(str, version))


async def check_version(kube: KubeClient) -> list[Finding]:
    """Check that Kubernetes is no older than `MINIMUM`."""
    try:
        return [version_finding(Check("version", kube.host), await kube.server_version())]
    except KubeError as error:
        return [
            Check("version", kube.host).warning(
                f"cannot be read: {error.message}", f"see whether it is Kubernetes {told(MINIMUM)} or newer"
            )
        ]


def version_finding(check: Check, answer: Mapping[str, object]) -> Finding:
    """Judge a version.

    Args:
        check: The subject.
        answer: What the API server says of its version, such as `{"major": "1", "minor": "29+"}`.
    """
    # Providers add a sign or a suffix to the number.
    numbers = [re.match(r"\d+", str(answer.get(part) or "")) for part in ("major", "minor")]
    known = [int(number[0]) for number in numbers if number]
    if len(known) < len(numbers):
        return check.warning("is not told", f"see whether it is Kubernetes {told(MINIMUM)} or newer")
    version = (known[0], known[1])
    if version < MINIMUM:
        return check.failure(
            f"Kubernetes {told(version)} is too old: porchflow needs {told(MINIMUM)}",
            f"upgrade the cluster to {told(MINIMUM)} or newer",
        )
    return check.ok(f"Kubernetes {told(version)}")
