"""The `porchflow` command: `commands` has one module per subcommand, which loads the rest when it runs.

`settings` are those of the long-running processes, which `worker`, `watcher`, `content_api` and `runner` put together;
`process`, `health`, `metrics`, `connect` and `listening` are what they share. `stack` is the embedded stack of
`porchflow up`; `demo`, `diff`, `doctor`, `migrate` and `render` are the commands of those names.
"""
