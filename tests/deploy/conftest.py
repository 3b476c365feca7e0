"""The base of deploy/, as kustomize makes it."""

import pytest

from tests.deploy.manifests import BASE, Built
from tests.kubectl import Kubectl


@pytest.fixture(scope="package")
def built(kubectl: Kubectl) -> Built:
    return Built(kubectl("kustomize", str(BASE)))
