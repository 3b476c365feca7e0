import datetime as dt
import json
import ssl
import stat
from pathlib import Path

import aiohttp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from porchflow.devstack import certs
from porchflow.devstack.certs import Certificates
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
    private = [*(tmp_path / "certs").glob("*.key"), made.tokens, kubeconfig]
    assert len(private) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_the_token_is_kept_and_differs_from_others(tmp_path: Path) -> None:
    first = Certificates.ensure(tmp_path / "one").tokens.read_bytes()
    assert Certificates.ensure(tmp_path / "one").tokens.read_bytes() == first
    assert Certificates.ensure(tmp_path / "two").tokens.read_bytes() != first


def test_a_folder_from_before_there_was_a_token_gets_one(tmp_path: Path) -> None:
    made = Certificates.ensure(tmp_path)
    before = made.certificate("ca").read_bytes()
    made.tokens.unlink()
    Certificates.ensure(tmp_path)
    assert made.tokens.exists()
    assert made.certificate("ca").read_bytes() == before


async def test_the_administrator_is_known_by_a_token(control_plane: ControlPlane) -> None:
    users = yaml.safe_load(control_plane.kubeconfig.read_text())["users"]
    assert [list(user["user"]) for user in users] == [["token"]]
    who = json.loads(await control_plane.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert who["username"] == certs.ADMIN_USER
    assert certs.ADMIN_GROUP in who["groups"]
    wrong = control_plane.kubeconfig.with_name("kubeconfig-wrong")
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "guessed"
    wrong.write_text(yaml.safe_dump(config))
    told = await control_plane.kubectl("get", "namespaces", kubeconfig=wrong, check=False)
    assert "You must be logged in to the server" in told


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


async def test_the_control_plane_satisfies_strict_clients(control_plane: ControlPlane) -> None:
    """Python from 3.13 on checks the certificates of servers as RFC 5280 says, by default."""
    context = control_plane.admin_tls()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.get(f"{control_plane.url}/readyz", ssl=context) as answer,
    ):
        assert answer.status == 200


def test_certificates_without_key_identifiers_are_made_anew(tmp_path: Path) -> None:
    made = Certificates.ensure(tmp_path)
    before = made.certificate("ca").read_bytes()
    older(made.certificate("apiserver"))
    assert Certificates.ensure(tmp_path).certificate("ca").read_bytes() != before


@pytest.mark.parametrize("authority", ["ca", "front-proxy-ca"])
def test_authorities_that_are_made_anew_have_other_names(tmp_path: Path, authority: str) -> None:
    """The API server publishes the front proxy's old one too, and who holds both looks for the signer by name."""
    first, second = (Certificates.ensure(tmp_path / each).certificate(authority) for each in ("first", "second"))
    names = {x509.load_pem_x509_certificate(path.read_bytes()).subject for path in (first, second)}
    assert len(names) == 2


def older(path: Path) -> None:
    """Write a certificate again as porchflow once made them, but for who signed it."""
    found = x509.load_pem_x509_certificate(path.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=found.issuer,
        subject_name=found.subject,
        public_key=key.public_key(),
        serial_number=found.serial_number,
        not_valid_before=found.not_valid_before_utc,
        not_valid_after=found.not_valid_after_utc,
    )
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
