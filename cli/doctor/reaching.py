"""The check before all others of a cluster: whether the API server answers at all."""

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.doctor.permissions import Right, may
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError, Unauthorized
from porchflow.kube.kinds import PACKAGEREVISIONS, SELFSUBJECTACCESSREVIEWS


async def check_reached(kube: KubeClient) -> list[Finding]:
    """Check that the API server answers, and accepts the credentials."""
    check = Check("kubernetes", kube.host)
    try:
        # Every authenticated user may create this review.
        await may(kube, Right("", "list", str(PACKAGEREVISIONS)))
    except Unauthorized as error:
        return [check.failure(f"refuses the credentials: {error.message}", "renew the kubeconfig's credentials")]
    except KubeError as error:
        mend = f"start the API server, correct the kubeconfig, or allow {SELFSUBJECTACCESSREVIEWS}"
        return [check.failure(error.message, mend)]
    return [check.ok("answers and accepts the credentials")]
