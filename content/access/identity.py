"""The user of a request, as the front proxy names it.

Its headers count only with a certificate that the cluster trusts.

The rules are those of "Configure the aggregation layer" in the Kubernetes documentation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class User:
    """A user, as the API server authenticated it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Headers(Protocol):
    """The headers of a request: names are not case-sensitive, and a name may occur several times."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """Return all values of a header."""

    def keys(self) -> Any:  # noqa: ANN401 - a view that differs between libraries
        """Return the names of all headers."""


class NotTrusted(Exception):  # noqa: N818 - says what the caller is
    """The request does not come from the front proxy, or the front proxy names no user."""


@dataclass(frozen=True)
class FrontProxy:
    """The cluster's configuration of its front proxy.

    Attributes:
        authorities: PEM of the certificate authorities that sign the front proxy's certificates.
        allowed_names: Common names of its certificates; none means any.
        username_headers: Headers with the user's name; the first one that is present counts.
        uid_headers: The same for the user's uid.
        group_headers: Headers with the user's groups.
        extra_prefixes: Prefixes of the headers with further attributes of the user.
    """

    authorities: str
    allowed_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    uid_headers: tuple[str, ...] = ("X-Remote-Uid",)
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)
    certificates: tuple[x509.Certificate, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        certificates = tuple(x509.load_pem_x509_certificates(self.authorities.encode()))
        object.__setattr__(self, "certificates", certificates)

    @classmethod
    def from_configmap(cls, configmap: Mapping[str, Any]) -> "FrontProxy":
        """Read the ConfigMap `extension-apiserver-authentication` of the namespace `kube-system`.

        Raises:
            ValueError: It is not usable; the message names what is missing.
        """
        data = configmap.get("data") or {}
        authorities = data.get("requestheader-client-ca-file")
        if not authorities:
            raise ValueError(
                "it has no requestheader-client-ca-file: start kube-apiserver with --requestheader-client-ca-file"
            )
        usernames = _names(data, "requestheader-username-headers")
        if not usernames:
            raise ValueError("it has no requestheader-username-headers")
        return cls(
            authorities=authorities,
            allowed_names=_names(data, "requestheader-allowed-names"),
            username_headers=usernames,
            uid_headers=_names(data, "requestheader-uid-headers"),
            group_headers=_names(data, "requestheader-group-headers"),
            extra_prefixes=_names(data, "requestheader-extra-headers-prefix"),
        )

    def user(self, certificate: bytes | None, headers: Headers) -> User:
        """Return the user of a request.

        Args:
            certificate: The client's certificate in DER, whose key it proved to hold; None without one.
            headers: The request's headers.

        Raises:
            NotTrusted: The certificate is not the front proxy's, or the headers name no user.
        """
        if certificate is None:
            raise NotTrusted("no client certificate; use the Kubernetes API server, which is the only way in")
        self._check(x509.load_der_x509_certificate(certificate))
        name = _first(headers, self.username_headers)
        if not name:
            raise NotTrusted("the front proxy names no user")
        groups = [group for header in self.group_headers for group in headers.getall(header, [])]
        return User(
            name=name,
            uid=_first(headers, self.uid_headers),
            groups=tuple(dict.fromkeys(groups)),
            extra=self._extra(headers),
        )

    def _check(self, certificate: x509.Certificate) -> None:
        """Repeat the checks of the TLS handshake: connections outlive certificates and authorities."""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotTrusted("the client certificate is not valid at this time")
        if not any(_issued(certificate, authority) for authority in self.certificates):
            raise NotTrusted("the client certificate is not signed by the front proxy's authority")
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if self.allowed_names and not (len(names) == 1 and names[0] in self.allowed_names):
            raise NotTrusted("the client certificate's common name is not one that the cluster allows")

    def _extra(self, headers: Headers) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found: dict[str, tuple[str, ...]] = {}
        for header in dict.fromkeys(name.lower() for name in headers.keys()):  # noqa: SIM118 - a multidict's keys repeat
            for prefix in self.extra_prefixes:
                if header.startswith(prefix.lower()):
                    key = unquote(header[len(prefix) :])
                    found[key] = found.get(key, ()) + tuple(headers.getall(header, []))
        return tuple(sorted(found.items()))


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    text = data.get(key)
    if not text:
        return ()
    value = json.loads(text)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{key} is no list of names")
    return tuple(each for each in value if each)


def _first(headers: Headers, names: Sequence[str]) -> str:
    return next((value for name in names for value in headers.getall(name, [])[:1] if value), "")
