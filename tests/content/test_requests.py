"""What requests ask for."""

import pytest

from porchflow.content.refusals import ApiError
from porchflow.content.serving.requests import ROOT, Accepted, Address, dry_run, flag, negotiate, number, parse_address

PRR = "packagerevisionresources"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (f"{ROOT}/{PRR}", Address(PRR)),
        (f"{ROOT}/namespaces/n/{PRR}", Address(PRR, "n")),
        (f"{ROOT}/namespaces/n/{PRR}/x.y.z", Address(PRR, "n", "x.y.z")),
        (f"{ROOT}/namespaces/n/{PRR}/x/status", Address(PRR, "n", "x", "status")),
        (f"{ROOT}/namespaces/n/{PRR}/a%2Fb", Address(PRR, "n", "a/b")),
        (f"{ROOT}/namespaces/namespaces/{PRR}", Address(PRR, "namespaces")),
        (f"{ROOT}/namespaces/n/{PRR}/x.v1%3Fpath-only", Address(PRR, "n", "x.v1", query="path-only")),
        (f"{ROOT}/namespaces/n/{PRR}/x%3Ffile=a:b%26file=c%2Fd%3F", Address(PRR, "n", "x", query="file=a:b&file=c/d?")),
        (f"{ROOT}/namespaces/n/{PRR}/x%3F", Address(PRR, "n", "x")),
        (f"{ROOT}/namespaces/n/{PRR}/%3Fpath-only", None),
        (f"{ROOT}/namespaces/n", None),
        (f"{ROOT}/{PRR}/x", None),
        (f"{ROOT}/namespaces/n/{PRR}/x/y/z", None),
        (f"{ROOT}/namespaces//{PRR}", None),
        (f"{ROOT}x/{PRR}", None),
        ("/", None),
    ],
)
def test_addresses(path: str, address: Address | None) -> None:
    if address is None:
        with pytest.raises(ApiError) as error:
            parse_address(path)
        assert error.value.code == 404
    else:
        assert parse_address(path) == address


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("", Accepted("")),
        ("*/*", Accepted("")),
        ("application/json", Accepted("")),
        ("application/vnd.kubernetes.protobuf, application/json", Accepted("")),
        ("application/json; charset=utf-8", Accepted("")),
        (f"{TABLE},application/json", Accepted("Table")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Accepted("Table", "v1beta1")),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Accepted("")),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Accepted("PartialObjectMetadata")),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Accepted("PartialObjectMetadata")),
        ("application/vnd.kubernetes.protobuf", None),
        ("text/html", None),
        ("application/json;as=Poem;v=v1;g=meta.k8s.io", None),
    ],
)
def test_kinds_of_answers(accept: str, accepted: Accepted | None) -> None:
    if accepted is None:
        with pytest.raises(ApiError) as error:
            negotiate(accept)
        assert (error.value.code, error.value.reason) == (406, "NotAcceptable")
    else:
        assert negotiate(accept) == accepted


def test_parameters() -> None:
    assert [flag({"f": value}, "f") for value in ("", "1", "true", "0", "false")] == [False, True, True, False, False]
    assert [number({"n": value}, "n") for value in ("", "0", "12")] == [0, 0, 12]
    assert [dry_run(query) for query in ({}, {"dryRun": "All"})] == [False, True]


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "1" * 30, "٣"])
def test_no_numbers(value: str) -> None:
    with pytest.raises(ApiError) as error:
        number({"n": value}, "n")
    assert error.value.code == 400


def test_no_words() -> None:
    for read in (lambda: flag({"f": "maybe"}, "f"), lambda: dry_run({"dryRun": "Some"})):
        with pytest.raises(ApiError) as error:
            read()
        assert error.value.code == 400
