"""How porchflow names itself to Git servers."""

from typing import Final

USER_AGENT: Final = "git/2 (porchflow)"
"""Some servers serve no client whose name does not begin with `git/`."""
