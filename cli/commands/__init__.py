"""The subcommands: options, help and exit codes. Other modules do the work, and are loaded late to keep help quick."""
