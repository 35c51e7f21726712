"""`kognitos files`: upload files."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from kognitos_async.cli.command import Call, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import FAILED, complain, lines_of, run_command, usage_errors
from kognitos_async.errors import KognitosError

app: typer.Typer = command_group("Upload files.")


@command(app)
def upload(
    call: Call,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files to upload.")],
    file_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="File name to store; for a single file.")
    ] = None,
) -> None:
    """Upload files and print the ID, name and size of each.

    Exit code 1 if some could not be uploaded.
    """
    if file_name is not None and len(paths) > 1:
        raise typer.BadParameter("is for a single file", param_hint="--file-name")
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"no such file: {path}", param_hint="PATH")
    run_command(_upload(call, paths, file_name))


async def _upload(call: Call, paths: list[Path], file_name: str | None) -> int:
    failed = 0
    call.output.check()
    async with connect(call.target) as api:
        for path in paths:
            try:
                with usage_errors():
                    record = await api.upload(path, file_name)
            except (KognitosError, OSError) as problem:
                failed += 1
                complain(f"{path}: {next(lines_of(problem))}")
                continue
            call.output.line(record, ("id", "file_name", "size"))
    return FAILED if failed else 0
