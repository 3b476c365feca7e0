"""Secrets that objects name: porchflow reads them for the user, so naming one needs the right to read it."""

from typing import Final

from porchflow.api.names import SECRET_HOSTS_ANNOTATION, SECRETS_POLICY, SUBPACKAGE_SECRETS_POLICY
from porchflow.api.policies.expressions import NEW
from porchflow.api.policies.policy import PACKAGE_REVISIONS, REPOSITORIES, Check, Guarded, Policy


def _secret(holder: str, git: str) -> str:
    return f"{holder}.{git}.?secretRef.?name.orValue('')"


def _repository(holder: str, git: str) -> str:
    return f"{holder}.{git}.?repo.orValue('')"


def _readers_only(name: str, on: Guarded, field: str) -> Policy:
    """Return the policy that only users who may read a Secret may have it sent to an address.

    Args:
        name: Of the policy.
        on: The kind of object that names the Secret.
        field: The part of the spec with `repo` and `secretRef`.
    """
    git = "?spec" + "".join(f".?{part}" for part in field.split("."))
    secret, repository = _secret("object", git), _repository("object", git)
    return Policy(
        name=name,
        operations=("CREATE", "UPDATE"),
        on=on,
        everywhere=True,
        only_if={
            "names-a-secret": f"{secret} != ''",
            # A new address counts too, because the Secret will be sent there.
            "anew": f"{NEW} || {secret} != {_secret('oldObject', git)}"
            f" || {repository} != {_repository('oldObject', git)}",
        },
        variables={"secret": secret},
        checks=(
            Check(
                "authorizer.group('').resource('secrets').namespace(request.namespace).name(variables.secret)"
                ".check('get').allowed()",
                f"'spec.{field}.secretRef names Secret ' + variables.secret + ', which is sent to ' + {repository}"
                " + ': that needs the right to read the Secret, and ' + request.userInfo.username + ' may not get it in"
                " namespace ' + request.namespace + '; ask a user with that right to create this, or an administrator"
                " for the permission to get that one Secret'",
                "Forbidden",
            ),
        ),
    )


SOURCE_SECRETS: Final = _readers_only(SECRETS_POLICY, PACKAGE_REVISIONS, "source.cloneFrom.git")
SUBPACKAGE_SECRETS: Final = _readers_only(
    SUBPACKAGE_SECRETS_POLICY, PACKAGE_REVISIONS, "subpackageOperation.cloneFrom.git"
)
REPOSITORY_SECRETS: Final = _readers_only("porchflow-repository-secrets", REPOSITORIES, "git")

UNENCRYPTED: Final = Policy(
    name="porchflow-unencrypted",
    operations=("CREATE", "UPDATE"),
    on=REPOSITORIES,
    warns=True,
    only_if={
        "sends-a-secret": f"{_secret('object', '?spec.?git')} != ''",
        "unencrypted": f"{_repository('object', '?spec.?git')}.lowerAscii().startsWith('http://')",
        "anew": f"{NEW} || object.?spec.?git != oldObject.?spec.?git",
    },
    checks=(
        Check(
            "false",
            "'what Secret ' + object.spec.git.secretRef.name + ' holds is sent unencrypted to ' + object.spec.git.repo"
            f" + ': use an https:// address; where that is meant, let the annotation {SECRET_HOSTS_ANNOTATION} of the"
            " Secret name the address with http://'",
        ),
    ),
)
