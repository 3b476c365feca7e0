"""The error that ends a migration."""


class MigrationError(Exception):
    """A step cannot be done; the message says which and what to do."""
