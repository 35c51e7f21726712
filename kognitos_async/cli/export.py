"""`kognitos runs export`: write a run history to a file, in constant memory."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.column_types import SeenTypes
from kognitos_async.cli.command import Automation, Call, Process  # noqa: TC001 - typer reads them
from kognitos_async.cli.connection import connect
from kognitos_async.cli.destination import Destination, destination_of
from kognitos_async.cli.parquet_file import import_pyarrow
from kognitos_async.cli.running import complain, run_command, usage_errors
from kognitos_async.cli.spool import Spool
from kognitos_async.cli.table_file import Format, format_of, text_writer, write_table
from kognitos_async.cli.times import moment
from kognitos_async.cli.whole_pages import LeftOut
from kognitos_async.errors import APIStatusError
from kognitos_async.waiting.policy import EXPIRED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from kognitos_async.cli.api import Api
    from kognitos_async.errors import DecodeError


_EXPIRED = EXPIRED - {HTTPStatus.NOT_FOUND}
"""A 404 may be about the process; saved pages are not dropped for it."""


class Outputs(StrEnum):
    """Layout of outputs."""

    STRUCT = "struct"
    COLUMNS = "columns"


def export(
    call: Call,
    process: Process = None,
    automation: Automation = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only this stage: draft or published.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only runs created at or after this ISO 8601 time, default UTC."),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            help="Output format; by default from the suffix of --output, else csv (jsonl with --json)."
        ),
    ] = None,
    outputs: Annotated[
        Outputs, typer.Option(help="Outputs in one column (JSON in CSV), or one column each.")
    ] = Outputs.STRUCT,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; by default, or with -, stdout.")
    ] = None,
) -> None:
    """Export the runs of a process or automation, one per row.

    Every call exports the whole history, in the order of the API; to fetch only changes, use
    `kognitos runs sync`. With --output, an interrupted export is resumed by the same command from FILE.pages.
    """
    source = call.source(process, automation)
    kind = format or format_of(output, as_json=call.output.as_json)
    destination = destination_of(output or Path("-"))
    if kind is Format.PARQUET:
        if destination.descriptor is not None:
            raise typer.BadParameter("parquet needs a file", param_hint="--output")
        import_pyarrow()
    if outputs is Outputs.COLUMNS and kind is Format.JSONL:
        raise typer.BadParameter("columns is for csv and parquet", param_hint="--outputs")
    if destination.descriptor == 1:
        call.output.check()
    task = _Export(call, source, stage, moment(since), kind, outputs, destination)
    run_command(task.run())


class _Export:
    """One export."""

    def __init__(
        self,
        call: Call,
        source: str,
        stage: str | None,
        since: datetime | None,
        kind: Format,
        outputs: Outputs,
        destination: Destination,
    ) -> None:
        self._call = call
        self._source = source
        self._stage = stage
        self._since = since
        self._kind = kind
        self._as_columns = outputs is Outputs.COLUMNS
        self._destination = destination
        self._left_out = LeftOut("runs")

    async def run(self) -> int:
        """Write the runs; exit code 1 if some could not be decoded and were skipped."""
        streams = not (self._destination.is_file or self._kind is Format.PARQUET or self._as_columns)
        async with connect(self._call.target) as api:
            try:
                count = await (self._stream(api) if streams else self._spooled(api))
            except BrokenPipeError:
                raise self._destination.lost() from None
        self._call.output.note(f"kognitos: {count} runs written")
        return self._left_out.exit_code

    async def _stream(self, api: Api) -> int:
        """Write each page as it arrives; cannot be resumed."""
        count = 0
        with self._destination.open() as file:
            write = text_writer(self._kind, api.record_columns, file, {})
            history = self._history(api, None, self._left_out)
            async for runs, _ in history:
                write(api.columns(runs))
                count += len(runs)
        return count

    def _history(
        self, api: Api, token: str | None, skipped: Callable[[DecodeError], object]
    ) -> AsyncIterator[tuple[list[Any], str | None]]:
        """The pages from `token` on. Raises `typer.BadParameter` for options that the API does not accept."""
        with usage_errors():
            return api.history(self._source, self._stage, self._since, token, skipped)

    async def _spooled(self, api: Api) -> int:
        """Read all pages to disk, resuming an interrupted export, then write the file."""
        target = self._destination.target
        if self._destination.is_file:
            return await self._read_and_write(api, target.with_name(f"{target.name}.pages"))
        with tempfile.TemporaryDirectory() as folder:
            return await self._read_and_write(api, Path(folder) / "runs")

    async def _read_and_write(self, api: Api, path: Path) -> int:
        question = {
            "api": self._call.target.api,
            "source": self._source,
            "stage": self._stage,
            "since": None if self._since is None else self._since.isoformat(),
        }
        spool = Spool(path, question)
        spool.open()
        try:
            types = await self._fetch(api, spool)
            write_table(
                self._destination,
                self._kind,
                api.record_columns,
                spool.pages(),
                types,
                as_columns=self._as_columns,
            )
            spool.delete()
        finally:
            if spool.token is None and not spool.complete:
                spool.delete()
            elif not spool.complete:
                self._call.output.note(
                    f"kognitos: {spool.count} runs saved in {path}; run the same command to resume"
                )
            spool.close()
        return spool.count

    async def _fetch(self, api: Api, spool: Spool) -> SeenTypes:
        """Read the pages that the spool lacks; return the types of all."""
        types = SeenTypes(api.record_columns)
        if spool.resumed:
            self._call.output.note(f"kognitos: resuming after {spool.count} runs")
            if spool.left_out:
                complain(f"runs skipped by an earlier call: {spool.left_out}")
                self._left_out.count = spool.left_out
            for page in spool.pages():
                types.see(page)
        token = spool.token
        try:
            await self._add_pages(api, spool, types)
        except APIStatusError as refused:
            if token is None or spool.token != token or refused.status not in _EXPIRED:
                raise
            # The saved token has expired: no later call could resume from it either.
            self._call.output.note(f"kognitos: cannot resume, starting over: {refused}")
            spool.start_over()
            self._left_out.count = 0
            types = SeenTypes(api.record_columns)
            await self._add_pages(api, spool, types)
        return types

    async def _add_pages(self, api: Api, spool: Spool, types: SeenTypes) -> None:
        if spool.complete:
            return

        def leave_out(error: DecodeError) -> None:
            self._left_out(error)
            spool.leave_out(len(error.undecoded))

        async for runs, token in self._history(api, spool.token, leave_out):
            columns = api.columns(runs)
            types.see(columns)
            spool.add(columns, len(runs), token)
