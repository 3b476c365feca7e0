"""What keeps a command from doing its work."""

import click


class Trouble(click.ClickException):
    """Kubernetes, Git or the object is in the way; not the exit code of a negative answer."""

    exit_code = 2
