"""The Event of a failed rendering: which functions ran, for how long, and what they found."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from porchflow.kpt.format.render_status import Step
from porchflow.kpt.format.results import Result

LIMIT: Final = 1024
"""Bytes of an Event's message; the API server takes no more of a note."""

_MESSAGE_BYTES = 600
_FINDING_BYTES = 300
_SEVERITIES = ("error", "warning", "info")


def failure_event(message: str, steps: Sequence[Step]) -> str:
    """Return the message of the condition, a part for each function, then the first errors; the rest is counted.

    Args:
        message: Of the condition; usually it names one error or two.
        steps: The functions that ran. Each part has image, exit code, seconds, and results by severity.
    """
    message = shortened(message, _MESSAGE_BYTES)
    errors = [result for step in steps for result in step.error_results if result.message not in message]
    return _joined([message, *map(_function, steps), *map(_finding, errors)])


def shortened(text: str, limit: int) -> str:
    """Cut a text to `limit` bytes of UTF-8, between two characters."""
    data = text.encode()
    return text if len(data) <= limit else data[: limit - len("…".encode())].decode(errors="ignore") + "…"


def _joined(parts: list[str]) -> str:
    text, left = parts[0], len(parts) - 1
    for part in parts[1:]:
        longer = f"{text}; {part}"
        left -= 1
        if len((longer + _rest(left)).encode()) > LIMIT:
            return text + _rest(left + 1)
        text = longer
    return text


def _rest(count: int) -> str:
    return f"; and {count} more" if count else ""


def _function(step: Step) -> str:
    counts = Counter(result.severity.lower() or "info" for result in step.results)
    found = [
        f"{counts[severity]} {severity}{'s' if counts[severity] > 1 else ''}"
        for severity in _SEVERITIES
        if counts[severity]
    ]
    ended = [f"exit code {step.exit_code}", f"{step.duration:.2f} s", *found]
    return f"{step.kind} {_image(step)}{f' of {step.package}' if step.package else ''}: {', '.join(ended)}"


def _image(step: Step) -> str:
    # The registry is the same for most functions, and the message has little room.
    return step.image.rpartition("/")[2] or step.exec or step.name


def _finding(result: Result) -> str:
    file = result.file.path if result.file else ""
    field = result.field.path if result.field else ""
    where = " ".join(filter(None, (file, field)))
    return shortened(f"{where}: {result.message}" if where else result.message, _FINDING_BYTES)
