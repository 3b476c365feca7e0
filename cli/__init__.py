"""The `porchflow` command: `commands` has one module per subcommand, which loads the rest when it runs.

`settings` holds the settings of the long-running processes. `processes` assembles the worker, the watcher, the content
API and the function runner, with what they share: health, metrics, tracing and connections. `diff`, `doctor`, `migrate`
and `render` do the work of the commands of those names; `overview` and `stack_state` that of `status`.
"""
