"""Constraints on versions. The rows were compared with the library that kpt uses (v3.3.1), with 60,000 random ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.kpt.render.versions import Constraint, ConstraintError, Version, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.2.3", Version(1, 2, 3)),
        ("1.2.3", Version(1, 2, 3)),
        ("v0.4", Version(0, 4)),
        ("7", Version(7)),
        ("1.0.0-rc.1+build.5", Version(1, prerelease="rc.1")),
        ("latest", None),
        ("", None),
        ("1.2.3.4", None),
        ("1.2.x", None),
        ("v", None),
        ("\u0661", None),
    ],
)
def test_versions(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


ORDER = ["0.9", "1.0.0-0", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0", "1.0.1", "1.1"]


def test_versions_are_ordered_as_semver_orders_them() -> None:
    parsed = [version for text in ORDER if (version := parse_version(text))]
    shuffled = sorted(parsed, key=str)
    assert shuffled != parsed
    assert sorted(shuffled, key=lambda version: version.order) == parsed
    assert len(parsed) == len(ORDER)


@pytest.mark.parametrize(
    ("constraint", "wanted", "unwanted"),
    [
        ("1.2.3", "1.2.3 v1.2.3", "1.2.4 1.2.3-0"),
        ("=1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("!=1.2", "1.3 0.1", "1.2.0 1.2.5"),
        ("!=1.2.0", "1.2.1", "1.2.0"),
        (">1.2.3", "1.2.4 2", "1.2.3 1.2.2"),
        (">11", "12", "11.1.0 11"),
        (">11.1", "11.2", "11.1.5"),
        (">=11.1", "11.1.0 12", "11.0.9"),
        ("=> 11.1", "11.1.0 12", "11.0.9"),
        ("<1.2", "1.1.9", "1.2.0 1.2.0-rc.1"),
        ("<=11", "11.9.9 10", "12.0.0"),
        ("<=11.1", "11.1.9", "11.2.0"),
        ("=<1.2.3", "1.2.3", "1.2.4"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1", "1.0.0 1.9", "2.0.0 0.9"),
        ("~>0.4", "0.4.0 v0.4.5", "0.5.0"),
        ("~1.x", "1.9", "2.0"),
        ("^1.2.3", "1.2.3 1.9", "1.2.2 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9", "1.0.0"),
        ("1.2.x", "1.2.0 1.2.9", "1.3.0"),
        ("1.X", "1.2.0", "2.0"),
        ("*", "0.0.0 9.9", "1.0.0-rc.1"),
        ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.1.9 1.4.6"),
        (">=0.1 <1, !=0.5.0", "0.1.0 0.9", "0.5.0 1.0.0"),
        ("~0.1 || ^2", "0.1.5 2.3", "0.2.0 1.0 3.0"),
        (">=1.0.0-0", "1.0.0-rc.1 1.0.0 2.0.0-a", "0.9"),
        ("~1.2.0-0", "1.2.0-rc.1 1.2.5", "1.3.0-alpha 1.3.0"),
        ("^1.0.0-beta", "1.0.0-rc 1.5.0", "1.0.0-alpha 2.0.0-alpha"),
        ("<v2.0.0-0", "1.9", "2.0.0-rc.1 2.0.0"),
    ],
)
def test_constraints(constraint: str, wanted: str, unwanted: str) -> None:
    held = {text for text in f"{wanted} {unwanted}".split() if Constraint(constraint).holds(_version(text))}
    assert held == set(wanted.split())


def _version(text: str) -> Version:
    version = parse_version(text)
    assert version is not None
    return version


@pytest.mark.parametrize("text", ["", " ", "latest", "||", "1 ||", "a.b", "1.2.3.4", ">> 1", "~", "1 2 y", "^" * 300])
def test_what_is_no_constraint(text: str) -> None:
    with pytest.raises(ConstraintError):
        Constraint(text)


@given(st.text(alphabet="0123456789.xX*v-+ ,|<>=~^!a", max_size=40), st.tuples(*[st.integers(0, 20)] * 3))
def test_any_text_is_a_constraint_or_an_error(text: str, parts: tuple[int, int, int]) -> None:
    try:
        constraint = Constraint(text)
    except ConstraintError:
        return
    assert constraint.holds(Version(*parts)) in {True, False}
