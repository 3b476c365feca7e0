import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.gitrepo.store.commit_messages import (
    Annotation,
    TaskType,
    approval_message,
    content_message,
    delete_message,
    format_annotation,
    operation_of,
    parse_annotations,
)

word = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@pytest.mark.parametrize(
    ("task", "subject", "kind"),
    [
        (TaskType.INIT, "Creating new empty revision", "init"),
        (TaskType.CLONE, "Creating new revision by cloning", "clone"),
        (TaskType.COPY, "Creating new revision by copying previous revision", "edit"),
        (TaskType.UPGRADE, "Upgrading revision", "upgrade"),
        (TaskType.RENDER, "Rendering package", "render"),
        (TaskType.SUBPACKAGE, "Changing subpackage", "subpackage"),
    ],
)
def test_content_messages_say_what_was_done(task: TaskType, subject: str, kind: str) -> None:
    assert content_message(task, "dir/app", "ws") == (
        f'{subject}\n\n\nkpt:{{"package":"dir/app","workspaceName":"ws","revision":"0","task":{{"type":"{kind}"}}}}\n'
    )


def test_approval_and_deletion_messages() -> None:
    assert approval_message("dir/app", "ws", 7) == (
        'Approving package revision dir/app/7\n\nkpt:{"package":"dir/app","workspaceName":"ws","revision":"7"}\n'
    )
    assert delete_message("dir/app") == "Delete dir/app"


def test_a_commit_names_the_subpackage_operation_that_it_is_for() -> None:
    message = content_message(TaskType.SUBPACKAGE, "dir/app", "ws", operation="sha256:1f0c")
    assert operation_of(message) == "sha256:1f0c"
    assert [note.task for note in parse_annotations(message)] == ["subpackage"]
    assert operation_of(content_message(TaskType.RENDER, "dir/app", "ws")) == ""


@given(st.builds(Annotation, package=word, workspace=word, revision=word, task=word))
def test_annotations_are_read_back(annotation: Annotation) -> None:
    line = format_annotation(annotation)
    assert "\n" not in line
    assert parse_annotations(f"Subject\n\n\n{line}\n") == [annotation]
    assert not set("<>&\u2028\u2029") & set(line)


@given(st.text())
def test_any_message_can_be_read(message: str) -> None:
    parse_annotations(message)


def test_bad_lines_are_skipped() -> None:
    message = 'x\nkpt:{bad\nkpt:[1]\n  kpt:{"package":"a","task":3,"revision":4}\nkpt:{"package":"b","revision":"2"}'
    first, second = parse_annotations(message)
    assert first == Annotation("a")
    assert second == Annotation("b", revision="2")
    assert second.is_approval
    assert not first.is_approval


def test_a_content_commit_is_no_approval() -> None:
    (note,) = parse_annotations(content_message(TaskType.INIT, "a", "w"))
    assert not note.is_approval
