"""Messages of Porch's function runner and its wrapper server about a function that failed.

Source: docs/reference/porch-function-runner.md, "Failures".
"""

from typing import Final

import re2

from porchflow.kpt.package_errors import FunctionFailed

_IMAGE: Final = r'"(?:[^"\\]|\\.)*"'
_MESSAGES: Final = tuple(
    re2.compile(f"(?is){pattern}")
    for pattern in (
        # The text before the log is Go's: the exit status, a signal, or the reason that nothing could be started.
        rf"failed to execute function {_IMAGE}: (?:exit status (?P<code>\d{{1,9}})|.*?) \((?P<stderr>.*)\)",
        rf"failed to parse the output of function {_IMAGE} with stderr '(?P<stderr>.*)': .*",
        rf"failed to evaluate function {_IMAGE}.*? stderr: (?P<stderr>.*)",
        r"failed to (?:evaluate function|execute function|parse the output).*",
        r".*panicked with.*",
    )
)


def read(image: str, message: str) -> FunctionFailed | None:
    """Parse the message of an `INTERNAL` status.

    Returns:
        The failure with the function's log and exit code, as far as the message has them; None if the function did not
        fail.
    """
    message = message.encode(errors="replace").decode()
    for pattern in _MESSAGES:
        if found := pattern.fullmatch(message):
            told = found.groupdict()
            return FunctionFailed(image, message, (told.get("stderr") or "").strip(), int(told.get("code") or 1))
    return None
