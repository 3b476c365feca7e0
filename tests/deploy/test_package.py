"""The wheel: who installs it without a checkout finds all that the commands read."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = [
    "[!bs]*/py.typed",
    "devstack/demo/storefront/*",
    "deploy/kustomization.yaml",
    "deploy/admission/**/*",
    "deploy/base/*",
    "deploy/components/**/*.yaml",
    "deploy/crds/*",
    "deploy/namespaces/*",
    "deploy/toolchain/*/go.*",
]


def test_the_wheel_holds_every_file_that_is_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    run("git", "clone", "--quiet", "--no-local", str(ROOT), str(source))
    flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    run(sys.executable, "-m", "pip", "wheel", *flags, str(source))
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for pattern in READ:
        found = (path for path in source.glob(pattern) if path.is_file())
        wanted = {path.relative_to(source).as_posix() for path in found} - {"porchflow/py.typed"}
        assert wanted, pattern
        assert {f"porchflow/{name}" for name in wanted} <= held
    assert {name.split("/")[0] for name in held if not name.split("/")[0].endswith(".dist-info")} == {"porchflow"}
    assert not [name for name in held if name.startswith(("porchflow/tests/", "porchflow/bench/", "porchflow/soak/"))]
    assert {Path(name).name for name in held if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
