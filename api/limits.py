"""Every bound of what comes from others, in one table: `docs/limits.md` is made from it.

Whatever is read from Git, from an author, from a function or from the network is counted before it is expanded. A limit
that is exceeded ends the one operation, with a message that names the limit and the place (`exceeded`). Limits that an
operator may set are settings, with these as their defaults.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Packages in Git

PACKAGE_FILES: Final = 10_000
"""Files of one package, its subpackages included. A file that is there twice counts twice."""

PACKAGE_BYTES: Final = 64 * MIB
"""Bytes of all files of one package, hence of any one of them. Told by Git's headers before a file is read."""

PACKAGE_DIRECTORIES: Final = 10_000
"""Directories of one package. Equal directories count as often as they are there."""

PACKAGE_DEPTH: Final = 100
"""Directories inside of one another, in a package and on the way to one."""

PATH_BYTES: Final = 4_000
"""Bytes of the path of a file below its package; common file systems store no longer one."""

KPTFILE_BYTES: Final = 1 * MIB
"""Bytes of a Kptfile that a sync reads."""

TREE_BYTES: Final = 32 * MIB
"""Bytes of one directory as Git stores it: some hundred thousand names."""

COMMIT_BYTES: Final = 1 * MIB
"""Bytes of a commit or an annotated tag, its message included."""

TAGS_OF_TAGS: Final = 10
"""Annotated tags that lead to one another before there is a commit."""

BRANCH_PACKAGES: Final = 100_000
"""Packages that a sync finds on one branch or tag."""

BRANCH_DIRECTORIES: Final = 1_000_000
"""Directories that a sync looks through on one branch or tag."""

DRAFT_COMMITS: Final = 1_000
"""Commits of a draft that are searched for the one that an interrupted attempt made."""
