"""Three-way merge of one document as text: only the lines that the merge changes change."""

from collections.abc import Sequence

from kpt.merge.comments import merge_comments
from kpt.merge.identity import with_own
from kpt.merge.outcome import ABSENT
from kpt.merge.shape import Shape
from kpt.merge.values import Clash, ValueMerge
from kpt.yaml_text import Document


def merge_documents(
    base: Document | None, upstream: Document, local: Document, shape: Shape
) -> tuple[Document, Sequence[Clash]]:
    """Merge one resource that upstream and the local package both have.

    Returns:
        The local document with upstream's changes in it, and the conflicts.

    Raises:
        YamlError: a merged value cannot be written as YAML.
    """
    if upstream.text == local.text or (base is not None and base.text == upstream.text):
        return local, ()
    if base is not None and base.text == local.text:
        return upstream, ()
    ours = local.value
    old = with_own(base.value, ours) if base is not None else ABSENT
    theirs = with_own(upstream.value, ours)
    work = ValueMerge()
    merged = work.merge(old, theirs, ours, shape)
    document = local.edit(None if merged is ABSENT else merged)
    return merge_comments(document, base, upstream, local, shape), work.clashes
