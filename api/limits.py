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

# What a package says

KRMIGNORE_CHARACTERS: Final = 64 * KIB
"""Characters of a `.krmignore`."""

KRMIGNORE_PATTERNS: Final = 500
"""Patterns of a `.krmignore`: each is tried with every file."""

KRMIGNORE_PATTERN_CHARACTERS: Final = 256
"""Characters of one pattern of a `.krmignore`."""

YAML_DEPTH: Final = 200
"""Collections inside of one another that are read or written. Kubernetes schemas stay below 60."""

YAML_NODES: Final = 500_000
"""Keys, values, lists and mappings of one document, what aliases stand for included."""

YAML_EXPANDED_NODES: Final = 100_000
"""Nodes that aliases may add to one document: a few nested anchors can otherwise stand for billions."""

YAML_KEY_CHARACTERS: Final = 1_024
"""Characters of a key on one line; YAML allows no more."""

YAML_NUMBER_CHARACTERS: Final = 400
"""Characters of a scalar that may be a number; a longer one is a text."""

YAML_DIRECTIVES: Final = 100
"""Lines of one document that begin with `%`."""

PIPELINE_FUNCTIONS: Final = 1_000
"""Functions of one package and its subpackages that one rendering runs."""

CONSTRAINT_CHARACTERS: Final = 256
"""Characters of a version of a function, and of a constraint on it."""

SCHEDULE_CHARACTERS: Final = 256
"""Characters of `spec.sync.schedule`."""

SETTERS_OF_A_PATTERN: Final = 100
"""Setters in one comment whose former values are found in the value of the field."""

# Functions

PATTERN_MEMORY: Final = 8 * MIB
"""Bytes that a regular expression may take; a larger one is refused."""

PATTERNS_KEPT: Final = 32
"""Regular expressions that a process keeps for the next use."""

SCHEMAS_KEPT: Final = 256
"""Schemas of Kubernetes kinds that a process keeps for the next use."""

PATH_ELEMENTS: Final = 1_000
"""Elements of the `by-path` of search-replace."""

GLOB_CHARACTERS: Final = 4_096
"""Characters of the `by-file-path` of search-replace."""

CALLS_OF_A_PROCESS: Final = 1_000
"""Calls that one process of the function runner answers before a new one takes its place."""

BUILTIN_SECONDS: Final = 60
"""Seconds that a builtin function may run; the default of a setting."""
