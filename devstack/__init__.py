"""The embedded stack of `porchflow up`: real servers on this machine, kept running, with their state in one folder.

`run` starts it, `parts` says what it is made of, `supervisor` keeps `processes` running, `cli/stack_state.py` records it.
`toolchain` finds or builds the servers' executables.
"""
