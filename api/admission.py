"""Makes `deploy/admission/` from the policies of `api/policies/`: `python -m porchflow.api.admission [--check]`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from porchflow.api.policies.approval import APPROVAL
from porchflow.api.policies.deletion import CLONES, DELETION
from porchflow.api.policies.identity import IDENTITY
from porchflow.api.policies.lifecycle import LIFECYCLE
from porchflow.api.policies.ownership import OWNERSHIP
from porchflow.api.policies.policy import Manifest, mutation_manifests, policy_manifests
from porchflow.api.policies.records import MUTATION, RECORDS
from porchflow.api.policies.secrets import REPOSITORY_SECRETS, SOURCE_SECRETS, SUBPACKAGE_SECRETS, UNENCRYPTED

FOLDER: Final = Path(__file__).parent.parent / "deploy" / "admission"

POLICIES: Final = (
    LIFECYCLE,
    APPROVAL,
    IDENTITY,
    OWNERSHIP,
    DELETION,
    CLONES,
    SOURCE_SECRETS,
    SUBPACKAGE_SECRETS,
    REPOSITORY_SECRETS,
    UNENCRYPTED,
    RECORDS,
)

_HEADER: Final = "# Made by `python -m porchflow.api.admission`. Change api/policies, not this.\n"


def manifests() -> dict[str, list[Manifest]]:
    """Return the contents of each file of `deploy/admission/`, by its path there.

    What not every supported Kubernetes serves is in a folder of its own, which is applied by itself.
    """
    return {
        **{f"{policy.name}.yaml": policy_manifests(policy) for policy in POLICIES},
        f"mutating/{MUTATION.name}-mutation.yaml": mutation_manifests(MUTATION),
    }


def _texts() -> dict[str, str]:
    return {
        name: _HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=110)
        for name, documents in manifests().items()
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the files of a folder that do not match the policies: other text, missing, or of no policy."""
    wanted = _texts()
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> None:
    """Write the files of a folder; a file of no policy is removed."""
    wanted = _texts()
    for name in stale(folder):
        if name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(wanted[name])
        else:
            (folder / name).unlink()


def main(arguments: Sequence[str]) -> int:
    """Write the files, or check them with `--check`; returns the exit code."""
    if "--check" not in arguments:
        write()
        return 0
    names = stale()
    if names:
        sys.stderr.write(
            f"deploy/admission: {', '.join(names)} not as in api/policies; run `python -m porchflow.api.admission`\n"
        )
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
