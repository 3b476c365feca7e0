"""A new package, as `kpt pkg init` creates it.

Source: docs/reference/kptfile.md, "A new package".
"""

from posixpath import normpath

from porchflow.kpt.format.files import KPTFILE, join, path_problem
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import dump
from porchflow.yamltext.nodes import Value

README = "README.md"
PACKAGE_CONTEXT = "package-context.yaml"
CONTEXT_NAME = "kptfile.kpt.dev"
"""Name of the ConfigMap that tells functions about the package."""

_LOCAL = {"config.kubernetes.io/local-config": "true"}

_README = """\
# {name}

## Description
{description}

## Usage

### Fetch the package
`kpt pkg get REPO_URI[.git]/PKG_PATH[@VERSION] {name}`

Details: https://kpt.dev/reference/cli/pkg/get/

### View package content
`kpt pkg tree {name}`

Details: https://kpt.dev/reference/cli/pkg/tree/

### Apply the package
```
kpt live init {name}
kpt live apply {name} --reconcile-timeout=2m --output=table
```

Details: https://kpt.dev/reference/cli/live/
"""


def init_package(
    name: str, *, subpackage: str = "", description: str = "", keywords: list[str] | None = None, site: str = ""
) -> dict[str, bytes]:
    """Return the files of a new package.

    Args:
        name: Name of the package; it may have slashes, and becomes `metadata.name` as a whole, as in Porch.
        subpackage: Directory below the root for the files; empty for the root.
        description: Text for the Kptfile and the README; left out if empty.
        keywords: `info.keywords` of the Kptfile.
        site: Web page of the package; `info.site` of the Kptfile.

    Raises:
        InvalidPackage: The subpackage is no path below the root.
    """
    directory = normpath(subpackage.strip("/")) if subpackage.strip("/") else ""
    problem = path_problem(directory) if directory else ""
    if problem:
        raise InvalidPackage(subpackage, f"cannot make a subpackage here: {problem}")
    files = {
        KPTFILE: dump(_kptfile(name, description, keywords or [], site)),
        README: _README.format(name=name, description=description),
        PACKAGE_CONTEXT: dump(_context(name)),
    }
    return {join(directory, path): text.encode() for path, text in files.items()}


def _kptfile(name: str, description: str, keywords: list[str], site: str) -> Value:
    info = {"site": site, "description": description, "keywords": keywords}
    return {
        "apiVersion": "kpt.dev/v1",
        "kind": "Kptfile",
        "metadata": {"name": name, "annotations": _LOCAL},
        "info": {key: value for key, value in info.items() if value},
    }


def _context(name: str) -> Value:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONTEXT_NAME, "annotations": _LOCAL},
        "data": {"name": name},
    }
