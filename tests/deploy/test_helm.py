"""The chart of docs/operate/install.md: Helm applies what kustomize makes, whichever components are in it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import COMPONENTS, DEPLOY, identity, own_kustomization
from tests.kubectl import Kubectl

HELM = shutil.which("helm")
PAGE = (DEPLOY.parent / "docs" / "operate" / "install.md").read_text(encoding="utf-8")


def told() -> str:
    """The commands of the section on Helm."""
    section = PAGE.partition("## With Helm\n")[2].partition("\n## ")[0]
    [commands] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return str(commands)


def test_the_page_makes_a_chart_of_what_kustomize_builds() -> None:
    commands = told()
    assert "kubectl kustomize FOLDER" in commands
    assert "helm upgrade --install" in commands


@pytest.mark.skipif(HELM is None, reason="needs helm on PATH")
@pytest.mark.parametrize("components", [[], COMPONENTS], ids=["base", "all components"])
def test_helm_makes_the_same_objects(kubectl: Kubectl, tmp_path: Path, components: list[str]) -> None:
    folder = own_kustomization(tmp_path, *components)
    wanted = list(yaml.safe_load_all(kubectl("kustomize", str(folder))))
    commands = told().replace("FOLDER", str(folder)).replace("helm upgrade --install", "helm template")
    commands = re.sub(r" --namespace \S+", "", commands)
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert {identity(one): one for one in made} == {identity(one): one for one in wanted}
    assert len(made) == len(wanted)
