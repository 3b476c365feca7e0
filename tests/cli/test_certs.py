import datetime as dt
import stat
from pathlib import Path

import pytest

from cli.stack import certs
from cli.stack.certs import Certificates
from tests.servers.control_plane import ControlPlane


def test_certificates_are_kept(tmp_path: Path) -> None:
    before = Certificates.ensure(tmp_path).certificate("ca").read_bytes()
    assert Certificates.ensure(tmp_path).certificate("ca").read_bytes() == before


def test_certificates_that_expire_soon_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "_VALID", dt.timedelta(days=29))
    before = Certificates.ensure(tmp_path).certificate("ca").read_bytes()
    monkeypatch.undo()
    assert Certificates.ensure(tmp_path).certificate("ca").read_bytes() != before


def test_a_set_that_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    made = Certificates.ensure(tmp_path)
    made.key("service-account").unlink()
    made.certificate("apiserver").unlink()
    assert Certificates.ensure(tmp_path).certificate("apiserver").exists()


def test_keys_and_kubeconfigs_are_private(tmp_path: Path) -> None:
    made = Certificates.ensure(tmp_path / "certs")
    kubeconfig = made.write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    private = [*(tmp_path / "certs").glob("*.key"), kubeconfig]
    assert len(private) == 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


async def test_the_administrator_may_everything_and_others_nothing(control_plane: ControlPlane) -> None:
    somebody = control_plane.kubeconfig_for("jane", ["developers"])
    assert await control_plane.kubectl("auth", "can-i", "*", "*") == "yes\n"
    assert await control_plane.kubectl("auth", "can-i", "list", "secrets", kubeconfig=somebody, check=False) == "no\n"
    who = await control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=somebody)
    assert '"username": "jane"' in who
    assert '"developers"' in who


async def test_the_front_proxy_authority_is_published_for_aggregated_apis(control_plane: ControlPlane) -> None:
    published = await control_plane.kubectl(
        "get", "configmap", "-n", "kube-system", "extension-apiserver-authentication", "-o", "json"
    )
    assert "requestheader-client-ca-file" in published
