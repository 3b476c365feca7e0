"""Messages as Porch's own function runner and wrapper server gave them."""

import pytest

from porchflow.functions.calls import porch_failures

IMAGE = "ghcr.io/kptdev/krm-functions-catalog/f:v1"


@pytest.mark.parametrize(
    ("message", "stderr", "exit_code"),
    [
        (f'Failed to execute function "{IMAGE}": exit status 3 (oh dear\n)', "oh dear", 3),
        (f'Failed to execute function "{IMAGE}": exit status 1 ()', "", 1),
        (
            f'Failed to execute function "{IMAGE}": exit status 2 (a (b)\nc: exit status 7 (d))',
            "a (b)\nc: exit status 7 (d)",
            2,
        ),
        (f'Failed to execute function "{IMAGE}": signal: killed (half)', "half", 1),
        (f'Failed to execute function "{IMAGE}": fork/exec /functions/gone: no such file or directory ()', "", 1),
        (
            f'failed to evaluate function "{IMAGE}" with structured results: [error]: no good and stderr: oh dear\n',
            "oh dear",
            1,
        ),
        (f'failed to evaluate function "{IMAGE}" with stderr: x and stderr: y', "x and stderr: y", 1),
        (
            f"failed to parse the output of function \"{IMAGE}\" with stderr 'it's bad\n': expected exactly one object",
            "it's bad",
            1,
        ),
        (f'failed to parse the output of function "{IMAGE}"', "", 1),
        ("KRM function panicked with: index out of range", "", 1),
    ],
)
def test_log_and_exit_code_are_found(message: str, stderr: str, exit_code: int) -> None:
    failure = porch_failures.read(IMAGE, message)
    assert failure is not None
    assert (failure.message, failure.stderr, failure.exit_code) == (message, stderr, exit_code)
    assert failure.ran


@pytest.mark.parametrize("message", ["", "Received RST_STREAM with error code 2", "unable to get the grpc client"])
def test_what_is_no_functions_failure(message: str) -> None:
    assert porch_failures.read(IMAGE, message) is None
