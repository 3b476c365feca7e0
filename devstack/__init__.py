"""The embedded stack of `porchflow up`: real servers on this machine, kept running, with their state in one folder.

`run` starts it, `parts` lists the processes, `supervisor` keeps `processes` running; `toolchain` finds or builds the
servers' executables.
"""
