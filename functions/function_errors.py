from porchflow.kpt.package_errors import FunctionFailed


class FunctionNotFound(FunctionFailed):
    """No evaluator knows the image. Data for the render outcome: asking again gives the same answer."""

    def __init__(self, image: str, hint: str = "") -> None:
        message = f'function "{image}" not found'
        super().__init__(image, f"{message}; {hint}" if hint else message, ran=False)
        self.hint = hint


class ImageNotFound(FunctionNotFound):
    """The registry has no such image, or its name is none; asking again gives the same answer until somebody mends it.

    Args:
        image: as it was asked for.
        why: what the registry said, and what to do; a clause without a capital at its beginning.
    """

    def __init__(self, image: str, why: str) -> None:
        super().__init__(image, why)
        self.why = why


class MessageTooLarge(FunctionFailed):
    """A request or answer is larger than the function runner passes on; trying again never helps.

    Args:
        image: of the function.
        what: `request` or `answer`.
        size: its bytes; 0 if only the runner knows.
        limit: bytes that may pass; 0 if only the runner knows.
        detail: the runner's own words, if it was the runner that refused.
    """

    def __init__(self, image: str, what: str, *, size: int = 0, limit: int = 0, detail: str = "") -> None:
        sizes = f"{size} bytes, the limit is {limit} bytes" if size else detail
        hint = "split the package, or raise the message size on both the function runner and its clients"
        super().__init__(image, f"the {what} of function {image!r} is too large: {sizes}; {hint}", ran=False)
        self.size, self.limit = size, limit


class RunnerUnavailable(Exception):  # noqa: N818 - says what is the matter, like the names of the other kinds
    """The function runner could not be asked or did not answer in time; worth another try."""

    def __init__(self, address: str, image: str, reason: str) -> None:
        super().__init__(f"function runner {address} could not run {image!r}: {reason}")
        self.address = address
        self.image = image
        self.reason = reason


class FunctionUnavailable(Exception):  # noqa: N818 - says what is the matter, like the names of the other kinds
    """A function could not be run now, for reasons that are not its own; worth another try.

    Args:
        image: of the function.
        reason: what is in the way; a clause without a capital at its beginning.
    """

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"function {image!r} cannot be run now: {reason}")
        self.image = image
        self.reason = reason


class RegistryUnavailable(FunctionUnavailable):
    """The registry of an image cannot be asked now: no connection, an error of its own, or too many requests."""
