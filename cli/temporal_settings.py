"""Settings of the connection to Temporal."""

from pathlib import Path

from pydantic import BaseModel, Field

from porchflow.api.host_port import HostPort


class TemporalSettings(BaseModel, frozen=True):
    """Address and credentials of Temporal. Unset ones come from Temporal's own environment configuration."""

    address: HostPort = Field("127.0.0.1:7233", description="host:port of the Temporal frontend")
    namespace: str = Field("default", description="Temporal namespace of the workflows")
    tls: bool | None = Field(
        None,
        description="whether Temporal is spoken to with TLS; unset means where a CA, a certificate, a server name or an"
        " API key is given",
    )
    tls_ca: Path | None = Field(
        None, description="PEM file with the CA of Temporal's certificate; unset means those the system trusts"
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the certificate that is shown to Temporal; read at the start"
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    tls_server_name: str = Field(
        "", description="name in Temporal's certificate, where it is not the host of the address"
    )
    api_key_file: Path | None = Field(
        None, description="file with the API key for Temporal, such as of Temporal Cloud; read again when it changes"
    )
    encryption_keys_file: Path | None = Field(
        None,
        description="file with the keys that encrypt what Temporal keeps, the one that encrypts first; read again when"
        " it changes; unset means that nothing is encrypted",
    )
