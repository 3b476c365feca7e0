"""A worker of another version, whose workflow orders other commands: `python -m tests.e2e.next_worker worker ...`."""

from porchflow.cli import main as command
from porchflow.cli.processes import worker
from tests.workflows.next_version import NextVersion

if __name__ == "__main__":
    worker.PackageRevisionWorkflow = NextVersion  # type: ignore[misc]
    command.run()
