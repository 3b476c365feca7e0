from kpt.errors import FunctionFailed


class FunctionNotFound(FunctionFailed):
    """No evaluator knows the image. Data for the render outcome: asking again gives the same answer."""

    def __init__(self, image: str, hint: str = "") -> None:
        message = f'function "{image}" not found'
        super().__init__(image, f"{message}; {hint}" if hint else message, ran=False)
        self.hint = hint


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


class RunnerUnavailable(Exception):  # noqa: N818 - says what is the matter, like the names of the other kinds
    """The function runner could not be asked or did not answer in time; worth another try."""

    def __init__(self, address: str, image: str, reason: str) -> None:
        super().__init__(f"function runner {address} could not run {image!r}: {reason}")
        self.address = address
        self.image = image
        self.reason = reason
