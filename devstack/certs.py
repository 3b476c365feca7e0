"""The certificates, keys and token of the embedded control plane, and the administrator's kubeconfig."""

import base64
import datetime as dt
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import yaml
from cryptography import x509

from porchflow.kube.whole_files import write_whole

_VALID = dt.timedelta(days=3650)
_RENEW_BEFORE = dt.timedelta(days=30)
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "::1")
ADMIN_USER = "porchflow-admin"
ADMIN_GROUP = "system:masters"
FRONT_PROXY_NAME = "front-proxy-client"


@dataclass(frozen=True)
class Certificates:
    """A folder of PEM files for the start of the API server.

    The API server trusts two authorities, and they must differ: `ca` signs the API server itself and its users,
    `front-proxy-ca` the API server as the client of aggregated APIs, whose headers name any user.
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
        """File with the administrator's token, in the format of `kube-apiserver --token-auth-file`."""
        return self.folder / "tokens.csv"

    def admin_context(self) -> ssl.SSLContext:
        """Return the settings of a TLS connection to the API server as the administrator."""
        context = ssl.create_default_context(cafile=str(self.certificate("ca")))
        context.load_cert_chain(self.certificate("admin"), self.key("admin"))
        return context

    @classmethod
    def ensure(cls, folder: Path) -> "Certificates":
        """Make the missing files of a folder; all of them when one expires within a month or has an older form."""
        certificates = cls(folder)
        if not certificates._usable():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            certificates._make()
        if not certificates.tokens.exists():
            row = f'{secrets.token_urlsafe(32)},{ADMIN_USER},{ADMIN_USER},"{ADMIN_GROUP}"\n'
            write_whole(certificates.tokens, row.encode())
        return certificates

    def ensure_server(self, name: str, *served_as: str) -> None:
        """Make the certificate of a server other than the API server, unless it exists.

        Args:
            name: Name of the files.
            served_as: DNS names that its clients use, besides `localhost`.
        """
        authority = self.certificate("ca").stat().st_mtime_ns
        if not self.certificate(name).exists() or self.certificate(name).stat().st_mtime_ns < authority:
            self._issue(self.authority(), name, *served_as, "localhost", "127.0.0.1", "::1", common_name=name)

    def ensure_client(self, name: str, user: str, group: str) -> None:
        """Make the certificate of a user of the API server, unless it exists.

        Args:
            name: Name of the files.
            user: The user's name.
            group: The group that the user is in.
        """
        if not self.certificate(name).exists():
            # Without a name it would have an empty list of names, which the API server refuses.
            self._issue(self.authority(), name, name, common_name=user, organization_name=group)

    def authority(self) -> trustme.CA:
        """Return the authority that signs the API server and its users."""
        return trustme.CA.from_pem(self.certificate("ca").read_bytes(), self.key("ca").read_bytes())

    def _usable(self) -> bool:
        # The last file that `_make` writes: where it exists, all exist.
        complete = self.key("service-account")
        if not complete.exists():
            return False
        serving = x509.load_pem_x509_certificate(self.certificate("apiserver").read_bytes())
        return _is_strict(serving) and serving.not_valid_after_utc - dt.datetime.now(dt.UTC) > _RENEW_BEFORE

    def _make(self) -> None:
        self.key("service-account").unlink(missing_ok=True)
        ca, front_proxy_ca = (self._authority(name) for name in ("ca", "front-proxy-ca"))
        self._issue(ca, "apiserver", *_SERVER_NAMES, common_name="kube-apiserver")
        self._issue(front_proxy_ca, "front-proxy-client", FRONT_PROXY_NAME, common_name=FRONT_PROXY_NAME)
        # Kubernetes reads the user from the common name and its group from the organization.
        self._issue(ca, "admin", ADMIN_USER, common_name=ADMIN_USER, organization_name=ADMIN_GROUP)
        # A key alone: the API server signs tokens with it. It accepts the public half only in the form that trustme
        # writes.
        write_whole(self.key("service-account"), ca.issue_cert("service-account").private_key_pem.bytes())

    def _authority(self, name: str) -> trustme.CA:
        # Its name differs from that of the authority before it, which the API server still publishes.
        authority = trustme.CA(path_length=0, organization_name=f"porchflow {name}")
        self._write(name, authority.cert_pem, authority.private_key_pem)
        return authority

    def _issue(self, authority: trustme.CA, name: str, *identities: str, **subject: Any) -> None:  # noqa: ANN401 - see trustme
        issued = authority.issue_cert(*identities, not_after=_end(), **subject)
        self._write(name, issued.cert_chain_pems[0], issued.private_key_pem)

    def _write(self, name: str, certificate: trustme.Blob, key: trustme.Blob) -> None:
        write_whole(self.key(name), key.bytes())
        certificate.write_to_path(self.certificate(name))

    def write_kubeconfig(self, path: Path, server: str) -> Path:
        """Write the administrator's kubeconfig, readable by the owner only.

        Args:
            path: The file; replaced in one step.
            server: Address of the API server.
        """
        # The API server looks a token up, but verifies a certificate anew for every request, and more than once.
        token = self.tokens.read_text(encoding="ascii").partition(",")[0]
        config = self.kubeconfig(server, ADMIN_USER, {"token": token})
        write_whole(path, yaml.safe_dump(config, sort_keys=False).encode())
        return path

    def kubeconfig(self, server: str, user: str, credentials: dict[str, str]) -> dict[str, Any]:
        """Return a kubeconfig, as the value of its YAML.

        Args:
            server: Address of the API server.
            user: Name of the user's entry.
            credentials: Fields of that entry, such as `token`.
        """
        authority = base64.b64encode(self.certificate("ca").read_bytes()).decode()
        context = {"cluster": "porchflow", "user": user, "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "porchflow",
            "contexts": [{"name": "porchflow", "context": context}],
            "clusters": [{"name": "porchflow", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": credentials}],
        }


def _end() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + _VALID


def _is_strict(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return True
