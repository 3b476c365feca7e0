from porchflow.kpt.package_errors import FunctionFailed

IMAGES_RUN = "images run in pods of a function runner with --wrapper-server-image (docs/guides/functions.md)"
"""What runs an image that is no built-in function, for the hints of errors."""


class FunctionNotFound(FunctionFailed):
    """No runtime knows the image. The error is final: another attempt has the same outcome."""

    def __init__(self, image: str, hint: str = "") -> None:
        message = f'function "{image}" not found'
        super().__init__(image, f"{message}; {hint}" if hint else message, ran=False)
        self.hint = hint


class ImageNotFound(FunctionNotFound):
    """The registry has no such image, or the name is no image name. The error is final until a user mends it.

    Args:
        image: The name as in the package.
        why: The registry's message and a way to mend it; a clause that begins without a capital.
    """

    def __init__(self, image: str, why: str) -> None:
        super().__init__(image, why)
        self.why = why


class MessageTooLarge(FunctionFailed):
    """A request or answer is larger than the message size of the function runner; the error is final.

    Args:
        image: Image of the function.
        what: `request` or `answer`.
        size: Its bytes; 0 if only the runner knows.
        limit: Bytes of the largest message; 0 if only the runner knows.
        detail: The runner's message, if the runner refused.
    """

    def __init__(self, image: str, what: str, *, size: int = 0, limit: int = 0, detail: str = "") -> None:
        sizes = f"{size} bytes, the limit is {limit} bytes" if size else detail
        hint = "split the package, or raise the message size on both the function runner and its clients"
        super().__init__(image, f"the {what} of function {image!r} is too large: {sizes}; {hint}", ran=False)
        self.size, self.limit = size, limit


class RunnerUnavailable(Exception):  # noqa: N818 - the name states the problem, like those of the other kinds
    """The function runner cannot be reached, or did not answer in time; the error is transient."""

    def __init__(self, address: str, image: str, reason: str) -> None:
        super().__init__(f"function runner {address} could not run {image!r}: {reason}")
        self.address = address
        self.image = image
        self.reason = reason


class FunctionUnavailable(Exception):  # noqa: N818 - the name states the problem, like those of the other kinds
    """A function cannot run now, for a reason outside of it; the error is transient.

    Args:
        image: Image of the function.
        reason: The obstacle; a clause that begins without a capital.
    """

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"function {image!r} cannot be run now: {reason}")
        self.image = image
        self.reason = reason


class RegistryUnavailable(FunctionUnavailable):
    """The registry of an image cannot be read now: no connection, an error of its own, or too many requests."""
