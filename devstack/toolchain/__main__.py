"""Finds or builds the servers of the embedded stack: `python -m porchflow.devstack.toolchain` prints their paths."""

import sys

from porchflow.devstack.toolchain.finding import main

if __name__ == "__main__":
    sys.exit(main())
