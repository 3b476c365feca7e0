import pytest
import yaml

from porchflow.kpt.format.init import init_package
from porchflow.kpt.format.kptfile import parse
from porchflow.kpt.package_errors import InvalidPackage


def test_a_new_package_has_three_files() -> None:
    files = init_package("a/b", description="what it's for: <all>", keywords=["x", "on"], site="https://example.com")
    assert files["Kptfile"].decode() == (
        "apiVersion: kpt.dev/v1\n"
        "kind: Kptfile\n"
        "metadata:\n"
        "  name: a/b\n"
        "  annotations:\n"
        '    config.kubernetes.io/local-config: "true"\n'
        "info:\n"
        "  site: https://example.com\n"
        '  description: "what it\'s for: <all>"\n'
        "  keywords:\n"
        "  - x\n"
        '  - "on"\n'
    )
    assert files["package-context.yaml"].decode() == (
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        "  name: kptfile.kpt.dev\n"
        "  annotations:\n"
        '    config.kubernetes.io/local-config: "true"\n'
        "data:\n"
        "  name: a/b\n"
    )
    readme = files["README.md"].decode()
    assert readme.startswith("# a/b\n\n## Description\nwhat it's for: <all>\n\n## Usage\n")
    for words in (
        "### Fetch the package\n`kpt pkg get REPO_URI[.git]/PKG_PATH[@VERSION] a/b`",
        "### View package content\n`kpt pkg tree a/b`",
        "### Apply the package\n```\nkpt live init a/b\n",
        "kpt live apply a/b --reconcile-timeout=2m --output=table\n",
    ):
        assert words in readme
    assert set(files) == {"Kptfile", "README.md", "package-context.yaml"}


def test_what_is_not_given_is_not_written() -> None:
    assert yaml.safe_load(init_package("p")["Kptfile"])["info"] == {}


@pytest.mark.parametrize("name", ["on", "123", "a: b", "- x", "é", "null", "'", '"\\', "{x}"])
def test_any_name_stays_a_name(name: str) -> None:
    files = init_package(name, description=name)
    kptfile = parse(files["Kptfile"].decode())
    assert (kptfile.name, kptfile.info.description if kptfile.info else "") == (name, name)
    assert yaml.safe_load(files["package-context.yaml"])["data"] == {"name": name}


def test_a_subpackage_has_its_own_directory() -> None:
    assert set(init_package("p", subpackage="/a/b/")) == {"a/b/Kptfile", "a/b/README.md", "a/b/package-context.yaml"}


@pytest.mark.parametrize("subpackage", ["../a", "a/../../b", ".git/x"])
def test_a_subpackage_stays_inside(subpackage: str) -> None:
    with pytest.raises(InvalidPackage, match="cannot make a subpackage here"):
        init_package("p", subpackage=subpackage)
