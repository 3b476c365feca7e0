"""`porchflow render`."""

import asyncio
import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble
from porchflow.functions.runner_settings import CallSettings, RegistrySettings, RunnerClientSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from porchflow.cli.render.folder import Folder
    from porchflow.cli.settings import Settings
    from porchflow.gitrepo.store.trees import Files
    from porchflow.kpt.render.hydrate import RenderOutcome

_INTERRUPTED = 130


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
@click.option("--dry-run", is_flag=True, help="Write nothing; print what would change as a unified diff.")
@click.option(
    "--check", is_flag=True, help="As --dry-run, with exit code 1 if more than the Kptfile's status would change."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write what the functions said to this file as JSON; - is standard output.",
)
@click.option("--quiet", "-q", is_flag=True, help="Tell of failures only.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Use colour [default: auto, on a terminal unless NO_COLOR is set].",
)
@settings_options(RunnerClientSettings, RegistrySettings, CallSettings)
def render(
    *,
    folder: Path,
    dry_run: bool,
    check: bool,
    results: Path | None,
    quiet: bool,
    color: Literal["auto", "always", "never"],
    **flags: Any,  # noqa: ANN401 - the values of any setting
) -> None:
    """Render the package in a folder: run its pipelines as a PackageRevision's are run.

    DIR has the package's Kptfile; the current folder is the default. Files are changed in place, all of them or none,
    and a failed rendering changes only the status in the Kptfile. Built-in functions need nothing else; for other
    images give the address of a function runner.

    What each function said goes to standard error, the diff and the results to standard output.

    The exit code is 0 when the package is rendered, 1 when it cannot be: a function failed or a file is wrong (or, with
    --check, when files would change), 2 when something else is in the way, 130 after an interrupt.
    """
    settings = load_settings(flags)
    from porchflow.cli.render.folder import FolderError, read_folder, write_folder  # noqa: PLC0415 - help must be quick
    from porchflow.cli.render.report import lines_of  # noqa: PLC0415

    if str(results) == "-" and (dry_run or check):
        raise click.UsageError("the diff goes to standard output: give --results a file")
    if results is not None and str(results) != "-":
        _check_results(results, folder)
    try:
        found = read_folder(folder)
        outcome = asyncio.run(_render(settings, found))
        new = found.with_texts(outcome.files)
        if not (dry_run or check):
            write_folder(found, new)
    except FolderError as error:
        raise Trouble(str(error)) from None
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    with _output():
        if results is not None:
            _write_results(results, outcome)
        if not (quiet and outcome.ok):
            click.echo("\n".join(lines_of(outcome)), err=True)
        changed = _print_diff(found, new, color) if dry_run or check else False
    sys.exit(0 if outcome.ok and not (check and changed) else 1)


@contextlib.contextmanager
def _output() -> "Iterator[None]":
    """Turn an error of the output into a message and exit code 2."""
    try:
        yield
    except BrokenPipeError:
        # The reader of the pipe has closed it, which is no failure. Click ends the command.
        raise
    except OSError as error:
        # Python flushes the rest of the buffer at exit, which would fail again.
        with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise Trouble(f"cannot write {error.filename or 'the output'}: {error.strerror}") from None


def _check_results(path: Path, folder: Path) -> None:
    """Refuse a file of results that cannot be written, before the rendering begins."""
    from porchflow.kpt.format.files import is_krm  # noqa: PLC0415 - see above

    if path.absolute().parent.resolve().is_relative_to(folder.resolve()) and is_krm(path.name):
        raise click.UsageError(f"{path} would become a part of the package: put the results elsewhere")
    if not path.absolute().parent.is_dir():
        raise Trouble(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise Trouble(f"cannot write {path}: {os.strerror(errno.EACCES)}")


def _write_results(path: Path, outcome: "RenderOutcome") -> None:
    from porchflow.cli.render.report import as_data  # noqa: PLC0415 - see above

    with click.open_file(str(path), "w", encoding="utf-8") as file:
        file.write(json.dumps(as_data(outcome), indent=2, ensure_ascii=False) + "\n")
        file.flush()


def _own_registries(settings: "Settings") -> "Settings":
    """Return the settings with any registry allowed, unless they name denied ones: the package is the user's own."""
    if "denied_registries" in settings.registries.model_fields_set:
        return settings
    registries = settings.registries.model_copy(update={"denied_registries": ()})
    return settings.model_copy(update={"registries": registries})


async def _render(settings: "Settings", folder: "Folder") -> "RenderOutcome":
    from porchflow.cli.processes.functions.registries import open_tags  # noqa: PLC0415
    from porchflow.cli.render.evaluator import open_evaluator  # noqa: PLC0415 - see above
    from porchflow.functions.function_errors import RegistryUnavailable, RunnerUnavailable  # noqa: PLC0415
    from porchflow.kpt.render.hydrate import render  # noqa: PLC0415
    from porchflow.kpt.render.image_names import ImageResolver  # noqa: PLC0415

    async with open_evaluator(settings) as evaluator, open_tags(_own_registries(settings)) as tags:
        try:
            images = ImageResolver(settings.calls.default_image_prefix, tags)
            own = settings.calls.own_config_among_items
            return await render(folder.texts, evaluator, images=images, shows_own_config=own)
        except RegistryUnavailable as error:
            raise Trouble(str(error)) from None
        except RunnerUnavailable as error:
            raise Trouble(f"{error}; is it running, and is --function-runner-address right?") from None


def _print_diff(folder: "Folder", new: "Files", color: Literal["auto", "always", "never"]) -> bool:
    """Print the diff that the rendering would make.

    Returns:
        Whether more than the status in the Kptfile would change; that has a new time in each rendering.
    """
    from porchflow.cli.diff.show import is_coloured, lines_of, print_coloured, print_plain  # noqa: PLC0415 - see above
    from porchflow.cli.render.report import same_but_for_status  # noqa: PLC0415
    from porchflow.gitrepo.store.diffs import compare_files  # noqa: PLC0415

    diffs = compare_files(folder.files, new)
    if is_coloured(color, dict(os.environ)):
        print_coloured(lines_of(diffs, "unified"), sys.stdout)
    else:
        print_plain(lines_of(diffs, "unified"), sys.stdout.buffer)
    return any(diff.path != "Kptfile" or not same_but_for_status(diff) for diff in diffs)
