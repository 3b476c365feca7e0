"""Writes repositories as Porch does, fast: through `git fast-import`, with commits as Porch words them."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.kptfiles import kptfile_text

IDENTITY = "Package Orchestration Service <porch@kpt.dev>"
START = 1_700_000_000


@dataclass
class PorchRepository:
    """Collects commits and refs; `write` brings them to a bare repository."""

    branch: str = "main"
    seconds: int = START
    _stream: bytearray = field(default_factory=bytearray)
    _marks: int = 0
    _tip: int = 0

    def publish(self, path: str, revision: int, workspace: str, files: dict[str, str] | None = None) -> int:
        """Publish a revision: a content commit, and the approval that merges and tags it."""
        content = files or {"Kptfile": kptfile_text(path.rpartition("/")[2])}
        draft = self._commit("refs/heads/tmp", content_message(path, workspace), path, content, [self._tip])
        approval = (
            f"Approving package revision {path}/{revision}\n\n"
            f'kpt:{{"package":"{path}","workspaceName":"{workspace}","revision":"{revision}"}}\n'
        )
        self._tip = self._commit(self.main, approval, path, content, [self._tip, draft])
        self.ref(f"refs/tags/{path}/v{revision}", self._tip)
        return self._tip

    def open(self, path: str, workspace: str, kind: str = "drafts", files: dict[str, str] | None = None) -> int:
        """Push a draft (or `proposed`) branch."""
        content = files or {"Kptfile": kptfile_text(path.rpartition("/")[2])}
        ref = f"refs/heads/{kind}/{path}/{workspace}"
        return self._commit(ref, content_message(path, workspace), path, content, [self._tip])

    def commit(self, message: str, files: dict[str, str], author: str = "Ann <ann@example.com>") -> int:
        """Commit files on the branch as a person would; the text `D` deletes one, or a directory."""
        self._tip = self._commit(self.main, message, "", files, [self._tip], author)
        return self._tip

    def ref(self, name: str, mark: int = 0) -> None:
        """Point a ref at a commit; at the branch's newest one where none is given."""
        self._stream += f"reset {name}\nfrom :{mark or self._tip}\n\n".encode()

    @property
    def main(self) -> str:
        return f"refs/heads/{self.branch}"

    def write(self, bare: Path) -> None:
        """Bring everything to a bare repository."""
        marks = bare / "fast-import.marks"
        command = ["fast-import", "--quiet", "--force", f"--import-marks-if-exists={marks}", f"--export-marks={marks}"]
        subprocess.run(["git", "-C", str(bare), *command], input=bytes(self._stream), check=True)
        subprocess.run(["git", "-C", str(bare), "update-ref", "-d", "refs/heads/tmp"], check=True)
        self._stream.clear()

    def _commit(
        self, ref: str, message: str, path: str, files: dict[str, str], parents: list[int], author: str = IDENTITY
    ) -> int:
        self._marks += 1
        self.seconds += 1
        when = f"{self.seconds} +0000"
        head = f"commit {ref}\nmark :{self._marks}\nauthor {author} {when}\ncommitter {IDENTITY} {when}\n"
        self._stream += head.encode() + _data(message)
        for number, parent in enumerate(parent for parent in parents if parent):
            self._stream += f"{'merge' if number else 'from'} :{parent}\n".encode()
        if path:
            self._stream += f"D {path}\n".encode()
        for name, text in files.items():
            where = f"{path}/{name}" if path else name
            if text == "D":
                self._stream += f"D {where}\n".encode()
                continue
            mode, content = text.split(" ", 1) if text[:6] in {"120000", "160000"} else ("100644", text)
            if mode == "160000":
                self._stream += f"M 160000 {content} {where}\n".encode()
            else:
                self._stream += f"M {mode} inline {where}\n".encode() + _data(content)
        self._stream += b"\n"
        return self._marks


def content_message(path: str, workspace: str) -> str:
    return (
        "Creating new revision by copying previous revision\n\n\n"
        f'kpt:{{"package":"{path}","workspaceName":"{workspace}","revision":"0","task":{{"type":"edit"}}}}\n'
    )


def _data(text: str) -> bytes:
    encoded = text.encode()
    return b"data %d\n%s\n" % (len(encoded), encoded)
