class YamlError(Exception):
    """A YAML document cannot be read, or a wanted value cannot be written as YAML.

    Attributes:
        reason: What is wrong.
        line: 1-based line in the text that was read; 0 for no particular line.
    """

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason

    def shifted(self, lines: int) -> "YamlError":
        """Return the same error for a document that begins `lines` lines down its file."""
        return YamlError(self.reason, self.line + lines if self.line else 0)
