"""The `porchflow` command. Subcommands are loaded when they are used, so that help is quick."""

import importlib

import click

from porchflow.cli.ending import run_to_end

_COMMANDS = {
    "up": "porchflow.cli.commands.up:up",
    "down": "porchflow.cli.commands.down:down",
    "demo": "porchflow.cli.commands.demo:demo",
    "install": "porchflow.cli.commands.install:install",
    "uninstall": "porchflow.cli.commands.uninstall:uninstall",
    "status": "porchflow.cli.commands.status:status",
    "doctor": "porchflow.cli.commands.doctor:doctor",
    "diff": "porchflow.cli.commands.diff:diff",
    "propose": "porchflow.cli.commands.review:propose",
    "approve": "porchflow.cli.commands.review:approve",
    "reject": "porchflow.cli.commands.review:reject",
    "upgrade": "porchflow.cli.commands.upgrade:upgrade",
    "deps": "porchflow.cli.commands.deps:deps",
    "webhook-secret": "porchflow.cli.commands.webhook_secret:webhook_secret",
    "wait": "porchflow.cli.commands.wait:wait",
    "render": "porchflow.cli.commands.render:render",
    "migrate": "porchflow.cli.commands.migrate:migrate",
    "worker": "porchflow.cli.commands.worker:worker",
    "watcher": "porchflow.cli.commands.watcher:watcher",
    "function-runner": "porchflow.cli.commands.function_runner:function_runner",
    "codec-server": "porchflow.cli.commands.codec_server:codec_server",
    "content-api": "porchflow.cli.commands.content_api:content_api",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="porchflow")
def main() -> None:
    """Durable reconciler for kpt packages: one Temporal workflow per PackageRevision.

    `porchflow up` runs everything on this machine; worker, watcher, function-runner and content-api are its parts, to
    run against an existing cluster and Temporal. `porchflow install` brings them into a cluster. `porchflow diff`
    compares package revisions; `porchflow render` renders a package in a folder.
    """


def run() -> None:
    """Run the command as a process."""
    run_to_end(main)


if __name__ == "__main__":
    run()
