"""The subcommands: options, help and exit codes. What they do is elsewhere, and loaded late, so that help is quick."""
