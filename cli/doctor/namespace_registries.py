"""Check of the Secrets with which namespaces bring credentials for registries."""

from porchflow.cli.doctor.findings import ASK_A_READER, Check, Finding
from porchflow.cli.doctor.permissions import Right, ServiceAccount, may
from porchflow.cli.settings import Settings
from porchflow.functions.registry.namespaces import SecretError, check_secret
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import SECRETS


async def check_namespace_registries(kube: KubeClient, settings: Settings, deployed_in: str = "") -> list[Finding]:
    """Check each of the Secrets, and whether the function runner may read it.

    Args:
        kube: Client of the API server.
        settings: Name the Secrets.
        deployed_in: Namespace of the function runner's ServiceAccount; empty to leave out its right.

    Returns:
        Nothing where namespaces bring no credentials.
    """
    name = settings.registries.namespace_registry_secret
    if not name:
        return []
    check, namespaces = Check("namespace-registries", name), settings.scope.namespaces or (None,)
    selector = f"metadata.name={name}"
    try:
        found = [one for each in namespaces async for one in kube.list_all(SECRETS, each, field_selector=selector)]
        return [await _checked(kube, one, deployed_in) for one in found] or [check.ok("no namespace has one")]
    except KubeError as error:
        return [check.warning(str(error), ASK_A_READER)]


async def _checked(kube: KubeClient, secret: Object, deployed_in: str) -> Finding:
    namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
    check = Check("namespace-registries", f"{namespace}/{name}")
    try:
        places = check_secret(secret)
    except SecretError as error:
        return check.failure(str(error), "correct the Secret, as the message says")
    right, runner = Right(namespace, "get", f"secrets:{name}"), "porchflow-function-runner"
    if deployed_in and not await may(kube, right, ServiceAccount(deployed_in, runner)):
        mend = f"--clusterrole porchflow-function-images --serviceaccount {deployed_in}:{runner}"
        return check.warning(
            f"{runner} may not read it, so that it does not count",
            f"kubectl -n {namespace} create rolebinding porchflow-function-images {mend}",
        )
    return check.ok(f"names {', '.join(places) or 'no registry'}")
