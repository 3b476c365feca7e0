from porchflow.watcher.indexes.references import References


def test_who_names_what() -> None:
    references = References[tuple[str, str], str]()
    references.note(("ns", "a"), [("ns", "one"), ("ns", "two")], "A")
    references.note(("ns", "b"), [("ns", "one")], "B")
    references.note(("other", "c"), [("other", "one")], "C")
    assert list(references.owners(("ns", "one"))) == ["A", "B"]
    references.note(("ns", "a"), [("ns", "three")], "A2")
    references.forget(("ns", "b"))
    references.forget(("ns", "never"))
    assert [list(references.owners(("ns", name))) for name in ("one", "two", "three")] == [[], [], ["A2"]]
    assert list(references.owners(("other", "one"))) == ["C"]
    references.note(("ns", "a"), [], "A3")
    references.forget(("other", "c"))
    assert vars(references) == vars(References[tuple[str, str], str]()), "nothing is kept of what names nothing"
