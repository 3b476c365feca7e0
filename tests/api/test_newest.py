from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.newest import Newest

_KEYS = st.sampled_from("abcde")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _KEYS, st.integers(0, 7)),
        st.tuples(st.just("get"), _KEYS, st.just(0)),
        st.tuples(st.just("pop"), _KEYS, st.just(0)),
    ),
    max_size=40,
)


@given(_STEPS, st.integers(0, 10))
def test_what_was_used_last_is_kept_within_the_limit(steps: Sequence[tuple[str, str, int]], limit: int) -> None:
    """Compared with a list of pairs, the one used last at its end."""
    newest = Newest[str, int](limit, lambda weight: weight)
    model: list[tuple[str, int]] = []
    for what, key, weight in steps:
        known = dict(model).get(key)
        rest = [pair for pair in model if pair[0] != key]
        if what == "put":
            newest.put(key, weight)
            model = [*rest, (key, weight)]
            while sum(each for _, each in model) > limit:
                model.pop(0)
        elif what == "get":
            assert newest.get(key) == known
            model = [*rest, *([(key, known)] if known is not None else [])]
        else:
            assert newest.pop(key) == known
            model = rest
        assert len(newest) == len(model)
        assert newest.weight == sum(each for _, each in model) <= limit


def test_each_value_weighs_one() -> None:
    newest = Newest[str, str](2)
    for key in "abc":
        newest.put(key, key.upper())
    assert [newest.get(key) for key in "abc"] == [None, "B", "C"]
