"""Every limit on foreign input, in one table: `docs/reference/limits.md` is made from it.

Input from Git, from an author, from a function or from the network is counted before it is expanded. A limit that is
exceeded ends the one operation, with a message that names the limit and the place (`exceeded`). Limits that an operator
may set are settings, with these as their defaults.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Packages in Git

PACKAGE_FILES: Final = 10_000
"""Files of one package, its subpackages included. A file that occurs twice counts twice."""

PACKAGE_BYTES: Final = 64 * MIB
"""Bytes of all files of one package, hence of any one of them. Read from Git's headers before the file itself."""

PACKAGE_DIRECTORIES: Final = 10_000
"""Directories of one package. Equal directories count as often as they occur."""

PACKAGE_DEPTH: Final = 100
"""Directories inside of one another, in a package and on the way to one."""

PATH_BYTES: Final = 4_000
"""Bytes of the path of a file below its package; common file systems store no longer one."""

SUBPACKAGE_DIR_CHARACTERS: Final = 1_000
"""Characters of `spec.subpackageOperation.subpackageDir`."""

SUBPACKAGE_UPSTREAMS: Final = 100
"""Subpackages of one package that have an upstream of their own and are listed in its status; others are left out."""

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
"""Directories that a sync searches on one branch or tag."""

DRAFT_COMMITS: Final = 1_000
"""Commits of a draft that are searched for the one that an interrupted attempt made."""

# Git servers

GIT_REFS: Final = 200_000
"""Branches and tags of one repository."""

GIT_LISTING_BYTES: Final = 64 * MIB
"""Bytes of a Git server's list of refs, and of its report on a push."""

GIT_PACK_BYTES: Final = 1024 * MIB
"""Bytes of one pack that a Git server sends, and of any file that unpacking it writes."""

GIT_UNPACK_BYTES: Final = 512 * MIB
"""Bytes of memory of the child process that unpacks what a Git server sends; they bound the largest object."""

GIT_UNPACK_SECONDS: Final = 300
"""Seconds of processor time of that child process."""

GIT_UNPACKS: Final = 2
"""Such child processes at once, in one worker."""

GIT_ADDRESSES: Final = 8
"""Addresses of one server's name that a request tries, within its time to connect."""

GIT_PACKETS: Final = 1_000_000
"""Packets of one answer with a pack. A full one has 64 KiB; tiny ones would keep a processor busy."""

GIT_SSH_LOG_BYTES: Final = 1 * MIB
"""Bytes of the log of a connection over SSH, which a server can lengthen with messages."""

GIT_REQUEST_SECONDS: Final = 600
"""Seconds of one request to a Git server from its begin to its end, however it keeps the connection busy."""

GIT_WORDS_CHARACTERS: Final = 2_000
"""Characters that are kept of a Git server's words: the last ones, without progress."""

GIT_HAVES: Final = 256
"""Commits that a fetch names as present, the newest first."""

# Phases that end their process

PHASE_DEATHS: Final = 3
"""Processes in a row that end while they run the same phase of an object, until the object is Stalled."""

ISOLATED_PHASE_BYTES: Final = 1024 * MIB
"""Bytes of memory of the child process that runs a phase after another process has ended with it."""

ISOLATED_PHASE_SECONDS: Final = 300
"""Seconds of processor time of one phase in that child process."""

ISOLATED_PHASE_FILE_BYTES: Final = GIT_PACK_BYTES + MIB
"""Bytes of any file that the child process writes."""

# Contents of packages

KRMIGNORE_CHARACTERS: Final = 64 * KIB
"""Characters of a `.krmignore`."""

KRMIGNORE_PATTERNS: Final = 500
"""Patterns of a `.krmignore`: each is tried with every file."""

KRMIGNORE_PATTERN_CHARACTERS: Final = 256
"""Characters of one pattern of a `.krmignore`."""

YAML_DEPTH: Final = 200
"""Collections inside of one another that are read or written. Kubernetes schemas stay below 60."""

YAML_NODES: Final = 500_000
"""Keys, values, lists and mappings of one document, including those that aliases stand for."""

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

SETTERS_OF_A_PATTERN: Final = 100
"""Setters in one comment whose former values are found in the value of the field."""

KRM_NODES: Final = 1_000_000
"""Nodes of all documents in memory at once: of a package that is rendered, of an answer, of a merge."""

ELEMENTS_COMPARED: Final = 400
"""Changed elements of a list above which they are paired by position: comparing all with all would take too long."""

COMMENT_LINES_COMPARED: Final = 400
"""Lines of one block of comments above which a merge keeps the local ones where local put fields of its own between."""

RENAMES_COMPARED: Final = 200
"""Pairs of resources of one kind in one file above which a merge counts none of them as renamed."""

# Functions

PATTERN_CHARACTERS: Final = 16_384
"""Characters of a regular expression; to read one costs more than its length."""

PATTERN_MEMORY: Final = 8 * MIB
"""Bytes that a regular expression may take; a larger one is refused."""

PATTERNS_KEPT: Final = 32
"""Regular expressions that a process keeps for the next use."""

SCHEMAS_KEPT: Final = 256
"""Schemas of Kubernetes kinds that a process keeps for the next use."""

SOUGHT_CHARACTERS: Final = 256
"""Characters of a setter's value that create-setters looks for inside of other values."""

INLINE_BYTES: Final = 64 * KIB
"""Bytes of a call of a built-in function that a worker without a function runner runs itself, without a way to end it.
"""

PATH_ELEMENTS: Final = 1_000
"""Elements of the `by-path` of search-replace."""

GLOB_CHARACTERS: Final = 4_096
"""Characters of the `by-file-path` of search-replace."""

CALLS_OF_A_PROCESS: Final = 1_000
"""Calls that one process of the function runner answers before another one takes its place."""

BUILTIN_SECONDS: Final = 60
"""Seconds that a built-in function may run; the default of a setting."""

LOG_BYTES: Final = 64 * KIB
"""Bytes that are kept of an executable's log."""

PRINTED_CHARACTERS: Final = 1 * MIB
"""Characters that a Starlark program prints before the rest is cut."""

MADE_CHARACTERS: Final = 32 * MIB
"""Characters of the resources that a Starlark program leaves behind, as JSON."""

RESULT_CHARACTERS: Final = 4_096
"""Characters kept of one message, one value or one function's log: they end up in the Kptfile, hence in Git."""

RESULTS: Final = 200
"""Results kept of one function."""

RESULTS_BYTES: Final = 64 * KIB
"""Bytes of results kept of one function: the Kptfile has errors twice, and goes with its package in one message."""

RENDERING_RESULTS_BYTES: Final = 256 * KIB
"""Bytes of results kept in the Kptfile of all functions together."""

FAILURE_CHARACTERS: Final = 2_048
"""Characters of the function runner's message about a function that failed."""

FAILURE_LOG_CHARACTERS: Final = 4_096
"""Characters of the function's log in that message."""

FAILURE_RESULTS_BYTES: Final = 32 * KIB
"""Bytes of the function's results in that message."""

# Registries

MANIFEST_BYTES: Final = 4 * MIB
"""Bytes of the manifest of an image, and of one page of its tags."""

IMAGE_CONFIG_BYTES: Final = 8 * MIB
"""Bytes of the configuration of an image."""

IMAGE_TAGS: Final = 20_000
"""Tags of one image that are read."""

IMAGE_TAG_PAGES: Final = 200
"""Pages of tags that are requested."""

TOKEN_BYTES: Final = 256 * KIB
"""Bytes of a registry's answer with a token."""

REGISTRY_ERROR_BYTES: Final = 64 * KIB
"""Bytes that are read of a registry's refusal."""

REGISTRY_SECRET_BYTES: Final = 64 * KIB
"""Bytes of the Secret with which a namespace brings credentials for its function images."""

REGISTRY_SECRET_ENTRIES: Final = 100
"""Registries and folders that such a Secret names."""

# Requests

WEBHOOK_BYTES: Final = 5 * MIB
"""Bytes of the body of a webhook."""

WEBHOOK_BODIES: Final = 16
"""Bodies of webhooks that arrive at once; a further request takes the place of the oldest one of the busiest sender."""

WEBHOOK_SECONDS: Final = 15
"""Seconds within which the body of a webhook has to arrive."""

PATCH_OPERATIONS: Final = 10_000
"""Operations of one JSON patch of package content."""

PATCH_COPIED_BYTES: Final = 6 * MIB
"""Bytes that the operations of one JSON patch may copy."""

SCHEDULE_CHARACTERS: Final = 256
"""Characters of `spec.sync.schedule`."""

CODEC_BYTES: Final = 8 * MIB
"""Bytes of the body of a request that `porchflow codec-server` answers."""

ENCRYPTION_KEYS_BYTES: Final = 64 * KIB
"""Bytes of the file with the keys that encrypt what Temporal keeps."""
