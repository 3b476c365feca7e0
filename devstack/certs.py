"""The certificates, keys and token of the embedded control plane, and kubeconfigs for its users."""

import base64
import datetime as dt
import ipaddress
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from porchflow.kube.x509 import SIGNS_CERTIFICATES, authority_name, certificate_builder, write_private

_VALID = dt.timedelta(days=3650)
_RENEW_BEFORE = dt.timedelta(days=30)
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADMIN_USER = "porchflow-admin"
ADMIN_GROUPS = ("system:masters",)
FRONT_PROXY_NAME = "front-proxy-client"


@dataclass(frozen=True)
class Certificates:
    """A folder of PEM files that the API server is started with.

    The API server trusts two authorities, and they must differ: `ca` signs the API server itself and its users,
    `front-proxy-ca` the API server as the client of aggregated APIs, which there means "trust the headers".
    """

    folder: Path

    def certificate(self, name: str) -> Path:
        """Path of a certificate, such as `ca`."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Path of a private key."""
        return self.folder / f"{name}.key"

    @property
    def tokens(self) -> Path:
        """File with the administrator's token, as `kube-apiserver --token-auth-file` reads it."""
        return self.folder / "tokens.csv"

    def admin_context(self) -> ssl.SSLContext:
        """Return what a TLS connection to the API server as the administrator needs."""
        context = ssl.create_default_context(cafile=str(self.certificate("ca")))
        context.load_cert_chain(self.certificate("admin"), self.key("admin"))
        return context

    @classmethod
    def ensure(cls, folder: Path) -> "Certificates":
        """Make what is missing in a folder; makes all anew when it would expire in a month or has an older form."""
        certificates = cls(folder)
        if not certificates._usable():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            certificates._make()
        if not certificates.tokens.exists():
            row = f'{secrets.token_urlsafe(32)},{ADMIN_USER},{ADMIN_USER},"{",".join(ADMIN_GROUPS)}"\n'
            write_private(certificates.tokens, row.encode())
        return certificates

    def ensure_server(self, name: str, *served_as: str) -> None:
        """Make the certificate of another server than the API server, unless it is there.

        Args:
            name: Name of the files.
            served_as: DNS names that its clients use, besides `localhost`.
        """
        authority = self.certificate("ca").stat().st_mtime_ns
        if not self.certificate(name).exists() or self.certificate(name).stat().st_mtime_ns < authority:
            self._issue(name, "ca", name, serves=(*served_as, "localhost"))

    def _usable(self) -> bool:
        # The last file that `_make` writes: with it, all are there.
        complete = self.key("service-account")
        if not complete.exists():
            return False
        serving = x509.load_pem_x509_certificate(self.certificate("apiserver").read_bytes())
        return _is_strict(serving) and serving.not_valid_after_utc - dt.datetime.now(dt.UTC) > _RENEW_BEFORE

    def _make(self) -> None:
        self.key("service-account").unlink(missing_ok=True)
        for authority in ("ca", "front-proxy-ca"):
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(authority, key, _authority(authority, key))
        self._issue("apiserver", "ca", "kube-apiserver", serves=_SERVER_NAMES)
        self._issue("front-proxy-client", "front-proxy-ca", FRONT_PROXY_NAME)
        self._issue("admin", "ca", ADMIN_USER, groups=ADMIN_GROUPS)
        write_private(self.key("service-account"), _key_pem(ec.generate_private_key(ec.SECP256R1())))

    def _issue(
        self, name: str, authority: str, common_name: str, *, groups: Sequence[str] = (), serves: Sequence[str] = ()
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(name, key, self._sign(authority, key, common_name, groups=groups, serves=serves))

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        write_private(self.key(name), _key_pem(key))
        self.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        authority: str,
        key: ec.EllipticCurvePrivateKey,
        common_name: str,
        *,
        groups: Sequence[str] = (),
        serves: Sequence[str] = (),
    ) -> x509.Certificate:
        signer = serialization.load_pem_private_key(self.key(authority).read_bytes(), password=None)
        issuer = x509.load_pem_x509_certificate(self.certificate(authority).read_bytes())
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.key(authority)} is not an elliptic-curve key; delete {self.folder} to make it anew")
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_name(common_name, groups), issuer.subject, key, signer)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if serves:
            names = [x509.DNSName(name) for name in serves]
            addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
            builder = builder.add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        return builder.sign(signer, hashes.SHA256())

    def write_kubeconfig(
        self,
        path: Path,
        server: str,
        *,
        user: str = ADMIN_USER,
        groups: Sequence[str] = ADMIN_GROUPS,
        namespace: str = "default",
    ) -> Path:
        """Write a kubeconfig, readable by the owner only.

        The administrator's has the token inside, any other a fresh client certificate.

        Args:
            path: The file; replaced in one step.
            server: Address of the API server.
            user: The user it authenticates as.
            groups: Groups of the user; the default one may do everything.
            namespace: Namespace of commands that name none.
        """
        authority = base64.b64encode(self.certificate("ca").read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "porchflow",
            "contexts": [
                {"name": "porchflow", "context": {"cluster": "porchflow", "user": user, "namespace": namespace}}
            ],
            "clusters": [{"name": "porchflow", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": self._credentials(user, tuple(groups))}],
        }
        write_private(path, yaml.safe_dump(config, sort_keys=False).encode())
        return path

    def _credentials(self, user: str, groups: tuple[str, ...]) -> dict[str, str]:
        if (user, groups) == (ADMIN_USER, ADMIN_GROUPS):
            # The API server looks a token up; it verifies a certificate anew for every request, and more than once.
            return {"token": self.tokens.read_text(encoding="ascii").partition(",")[0]}
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign("ca", key, user, groups=groups).public_bytes(serialization.Encoding.PEM)
        return {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(_key_pem(key)).decode(),
        }


def _authority(role: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # The API server goes on publishing the authority before this one.
    name = authority_name(f"porchflow {role}", key.public_key())
    builder = _builder(name, name, key, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(SIGNS_CERTIFICATES, critical=True).sign(key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return certificate_builder(subject, issuer, key.public_key(), signer.public_key(), now=now, valid=_VALID)


def _is_strict(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return True


def _name(common_name: str, groups: Sequence[str] = ()) -> x509.Name:
    # Kubernetes reads the user from the common name and its groups from the organizations.
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The API server takes the public half of a service-account key only from this older form.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
