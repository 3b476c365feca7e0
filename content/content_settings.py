"""Settings of the content API."""

from pathlib import Path

from pydantic import BaseModel, Field

from porchflow.api.host_port import HostPort


class ContentSettings(BaseModel, frozen=True):
    """Where the content API listens, with which certificate, and what its requests may take."""

    address: HostPort = Field(
        "0.0.0.0:8443", description="host:port where the content API listens for the API server (HTTPS)"
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the content API's certificate; read again when it changes"
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    service: str = Field(
        "",
        pattern=r"^([a-z0-9-]+/[a-z0-9-]+)?$",
        description="namespace/name of the Service of the content API, which then makes and renews its certificate"
        " itself, kept in the Secret NAME-tls of that namespace",
    )
    max_body: int = Field(
        6_291_456, ge=1024, description="bytes of one request to the content API, which is the size of a push"
    )
    timeout: float = Field(55.0, gt=0, description="seconds one request to the content API may take")
    rate: float = Field(50.0, gt=0, description="requests per second of one user to the content API")
    burst: int = Field(200, ge=1, description="requests at once of one user to the content API")
    cache: int = Field(134_217_728, ge=0, description="bytes of package content the content API keeps")
    watches: int = Field(100, ge=0, le=10_000, description="watches of package content at once")
