"""`kognitos runs bulk`: a run for each row of a file, exactly once, across crashes of the process."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from kognitos_async import checks
from kognitos_async.cli.bulk_job import BulkOptions, BulkRun
from kognitos_async.cli.bulk_requests import row_requests
from kognitos_async.cli.command import Automation, Call, Process  # noqa: TC001 - typer reads them
from kognitos_async.cli.destination import destination_of
from kognitos_async.cli.first_pass import first_pass
from kognitos_async.cli.recorded import Recorded
from kognitos_async.cli.row_options import (
    Delimiter,
    Encoding,
    FileInput,
    Input,
    Number,
    Requests,
    Stage,
    check_stage,
    requests_file,
)
from kognitos_async.cli.running import WRONG_USE, complain, run_command, usage_errors


def bulk(
    call: Call,
    *,
    requests: Requests,
    journal: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Record each step here; an existing journal resumes its job."),
    ],
    process: Process = None,
    automation: Automation = None,
    stage: Stage = "published",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write outcomes to a .csv or .jsonl file; - for stdout."),
    ] = None,
    number: Number = None,
    input: Input = None,
    file_input: FileInput = "file",
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Run the valid rows even if others are invalid.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check file, journal and key without starting anything.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Start requests again whose run settled without success, except in awaiting_guidance.",
        ),
    ] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Read runs again that needed a person, and wait for them.")
    ] = False,
    max_in_flight: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum number of unsettled runs.")
    ] = 100,
    max_uploads: Annotated[int, typer.Option(metavar="N", min=1, help="Maximum concurrent uploads.")] = 8,
    requests_per_second: Annotated[
        float | None, typer.Option(metavar="N", min=0.001, help="Maximum request rate.")
    ] = None,
    run_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Maximum wait for each run.")
    ] = None,
    absence_delay: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time until a started run certainly shows in the list.")
    ] = 5.0,
) -> None:
    """Start a run for each row of a file and wait for all of them.

    Columns: name, optionally stage and file (a path, uploaded first); every other column is an input. Run the
    same command again to resume an interrupted job; no run is started twice. Exit code 0 if every run
    succeeded, 3 if some did not, 2 if the file is rejected before anything is started.
    """
    source = call.source(process, automation)
    check_stage(stage)
    with usage_errors():
        checks.seconds_or_none("run_timeout", run_timeout)
        checks.seconds_or_none("absence_delay", absence_delay)
    _check_output(call, output, requests, journal)
    of_rows = row_requests(call, source, file_input)
    rows = requests_file(
        requests,
        of_rows,
        source=source,
        stage=stage,
        number=number,
        input=input,
        delimiter=delimiter,
        encoding=encoding,
        exact=call.target.is_platform,
    )
    checked = first_pass(rows, Recorded(journal).has_run if dry_run else None, quiet=call.output.quiet)
    if checked.bad and not skip_bad_rows:
        complain(f"invalid rows: {checked.bad}; nothing was started. Use --skip-bad-rows to run the others")
        raise typer.Exit(WRONG_USE)
    options = BulkOptions(
        journal=journal,
        output=output,
        max_in_flight=max_in_flight,
        max_uploads=max_uploads,
        requests_per_second=requests_per_second,
        run_timeout=run_timeout,
        absence_delay=absence_delay,
        rerun=frozenset(of_rows.failed_statuses) if retry_failed else frozenset(),
        recheck=recheck,
    )
    job = BulkRun(call, rows, of_rows, checked, options)
    if dry_run:
        run_command(job.dry_run(source))
    else:
        run_command(job.run(), on_interrupt=job.on_interrupt)


def _check_output(call: Call, output: Path | None, requests: Path, journal: Path) -> None:
    if output is None:
        return
    destination = destination_of(output)
    if destination.descriptor == 1:
        call.output.check()
    if destination.is_file and output.suffix.lower() not in (".csv", ".jsonl", ".ndjson"):
        raise typer.BadParameter("must end in .csv or .jsonl", param_hint="--output")
    if {destination.target, destination.part} & {requests.resolve(), journal.resolve()}:
        raise typer.BadParameter("would overwrite the requests file or the journal", param_hint="--output")
