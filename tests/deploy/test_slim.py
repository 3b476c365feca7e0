"""What the image leaves out of its libraries: nothing that a process reads."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

LOADED = """
import importlib, json, pkgutil, sys
import porchflow
for room in ("activities", "api", "cli", "content", "functions", "gitrepo", "kpt", "kube", "repositories", "watcher",
             "workflows", "yamltext"):
    package = importlib.import_module(f"porchflow.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"porchflow.{room}."):
        # A program is no module to import.
        if not module.name.endswith((".__main__", ".crd", ".admission", ".generate")):
            importlib.import_module(module.name)
print(json.dumps([name for name in sys.modules if name.startswith("kubernetes")]))
"""


@pytest.fixture(scope="module")
def slim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slim", ROOT / "deploy" / "images" / "slim.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_process_loads_a_module_that_is_left_out(slim: ModuleType) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    packages = {name.replace("/", ".") for name in slim.UNUSED}
    assert "kubernetes.aio.client.rest" in loaded
    assert [name for name in loaded if name.rpartition(".")[0] in packages] == []


def test_an_emptied_package_can_be_imported(slim: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "client"
    (package / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "api.py", "__pycache__/__init__.cpython-311.pyc", "__pycache__/api.cpython-311.pyc"):
        (package / name).write_text("")
    slim.empty(package)
    assert {path.name for path in package.rglob("*") if path.is_file()} == {"__init__.py", "__init__.cpython-311.pyc"}


def test_a_packed_package_gives_its_code_and_its_files(slim: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "schemas/data").mkdir(parents=True)
    (tmp_path / "schemas/__init__.py").write_text("ANSWER = 42\n")
    (tmp_path / "schemas/data/one.json").write_text("{}")
    slim.pack(tmp_path, "schemas")
    read = (
        f"import site; site.addsitedir({str(tmp_path)!r})\nimport schemas, importlib.resources as r\n"
        "print(schemas.ANSWER, r.files('schemas').joinpath('data', 'one.json').read_text())"
    )
    assert not (tmp_path / "schemas").exists()
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert done.stdout == "42 {}\n"
