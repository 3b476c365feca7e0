import pytest

from porchflow.kube.kinds import NAMESPACES, PACKAGEREVISIONS, SECRETS


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PACKAGEREVISIONS.path(), "/apis/porch.kpt.dev/v1alpha2/packagerevisions"),
        (PACKAGEREVISIONS.path("ns"), "/apis/porch.kpt.dev/v1alpha2/namespaces/ns/packagerevisions"),
        (
            PACKAGEREVISIONS.path("ns", "a.b.v1", "status"),
            "/apis/porch.kpt.dev/v1alpha2/namespaces/ns/packagerevisions/a.b.v1/status",
        ),
        (SECRETS.path("ns", "s"), "/api/v1/namespaces/ns/secrets/s"),
        (NAMESPACES.path(None, "ns"), "/api/v1/namespaces/ns"),
        (SECRETS.path("ns", "a/../b?x"), "/api/v1/namespaces/ns/secrets/a%2F..%2Fb%3Fx"),
    ],
)
def test_paths(path: str, wanted: str) -> None:
    assert path == wanted


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_address_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        SECRETS.path("ns", name)
    with pytest.raises(ValueError, match="cannot name"):
        SECRETS.path(name, "s")


def test_api_versions() -> None:
    assert (SECRETS.api_version, PACKAGEREVISIONS.api_version) == ("v1", "porch.kpt.dev/v1alpha2")
    assert (str(SECRETS), str(PACKAGEREVISIONS)) == ("secrets", "packagerevisions.porch.kpt.dev")
