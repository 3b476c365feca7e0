"""The files of a package after a push. Pure."""

from collections.abc import Iterator, Mapping

from porchflow.content.packages.encoding import text_of
from porchflow.content.refusals import Cause
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.trees import File, Files, Mode, check_path
from porchflow.kpt.format.files import KPTFILE

_CAUSES_LIMIT = 10


def new_files(current: Files, resources: Mapping[str, str]) -> Files:
    """Return the files that a push leaves.

    The pushed files are the whole package, except for files that text cannot represent, which the author could not see:
    they stay. A file that was executable stays so.
    """
    hidden = {path: file for path, file in current.items() if text_of(file) is None}
    pushed = {path: File(text.encode(), _mode(current.get(path))) for path, text in resources.items()}
    return {**hidden, **pushed}


def problems(resources: Mapping[str, str]) -> list[Cause]:
    """Return the causes why content is not valid for a package; empty if it is."""
    found = [cause for path, text in resources.items() for cause in _problems_of(path, text)]
    if KPTFILE not in resources:
        found.insert(
            0,
            Cause(
                "spec.resources",
                "package must contain Kptfile at root; to delete the package, delete its PackageRevision",
                "FieldValueRequired",
            ),
        )
    return found[:_CAUSES_LIMIT]


def _problems_of(path: str, text: str) -> Iterator[Cause]:
    field = f"spec.resources[{path}]"
    try:
        path.encode()
        check_path(path)
    except UnicodeEncodeError:
        yield Cause(field.encode(errors="replace").decode(), "the path is no valid Unicode")
    except InvalidName as error:
        yield Cause(field, str(error))
    else:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            yield Cause(field, f"character {error.start} is half of a surrogate pair, which no UTF-8 file can hold")


def _mode(file: File | None) -> Mode:
    return Mode.EXECUTABLE if file is not None and file.mode is Mode.EXECUTABLE else Mode.REGULAR
