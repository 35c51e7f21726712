"""Start one run with inputs from the command line, and optionally wait for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.api import Start
from kognitos_async.cli.connection import connect
from kognitos_async.cli.numbers import exact_decimal, parse_number
from kognitos_async.cli.running import SOME_FAILED, run_command, usage_errors

if TYPE_CHECKING:
    from decimal import Decimal

    from kognitos_async.cli.command import Call

Inputs = Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="Text input; may be repeated.")]
Numbers = Annotated[
    list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Number input; may be repeated.")
]
Files = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME=]PATH", help="File to upload; the platform API needs the input NAME."),
]
InputsFile = Annotated[Path | None, typer.Option(metavar="FILE", help="JSON object of inputs; - for stdin.")]
StageName = Annotated[str, typer.Option(metavar="STAGE", help="Stage to run: draft or published.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the run settles.")]
Timeout = Annotated[float | None, typer.Option(metavar="SECONDS", help="Maximum wait.")]


def start_run(
    call: Call,
    source: str,
    name: str | None,
    stage: str,
    texts: list[str] | None,
    numbers: list[str] | None,
    files: list[str] | None,
    inputs_file: Path | None,
    *,
    wait: bool,
    timeout: float | None,
) -> None:
    """Start the run and print it; with `wait`, once it has settled."""
    exact = call.target.is_platform
    inputs = {} if inputs_file is None else _object(inputs_file, exact=exact)
    for option, pairs in (("--input", texts), ("--number", numbers)):
        for pair in pairs or ():
            key, value = _pair(option, pair)
            if key in inputs:
                raise typer.BadParameter(f"duplicate input {key}", param_hint=option)
            inputs[key] = value if option == "--input" else _number(key, value, exact=exact)
    attached = [_file(file, named=exact) for file in files or ()]
    start = Start(source, name, stage, inputs, attached)
    run_command(_start(call, start, wait=wait, timeout=timeout))


async def _start(call: Call, start: Start, *, wait: bool, timeout: float | None) -> int:
    async with connect(call.target) as api:
        with usage_errors():
            run = await api.start(start)
        if not wait:
            call.output.line(api.record(run), ("id", *api.settled_columns[1:]))
            return 0
        call.output.note(f"started {run.id}")
        with usage_errors():
            settled = await api.client.wait_for_run(run, timeout=timeout)
    call.output.show(api.record(settled))
    return 0 if settled.succeeded else SOME_FAILED


def _pair(option: str, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"must be NAME=VALUE, got {pair!r}", param_hint=option)
    return key, value


def _number(key: str, text: str, *, exact: bool) -> int | float | Decimal:
    number = parse_number(text, exact=exact)
    if number is None:
        raise typer.BadParameter(f"{key} must be a number, got {text!r}", param_hint="--number")
    return number


def _file(text: str, *, named: bool) -> tuple[str | None, Path]:
    name, equals, path = text.partition("=") if named else ("", "", text)
    if named and not (equals and name):
        raise typer.BadParameter("must be NAME=PATH on the platform API", param_hint="--file")
    found = Path(path)
    if not found.exists():
        raise typer.BadParameter(f"no such file: {found}", param_hint="--file")
    return name or None, found


def _object(path: Path, *, exact: bool) -> dict[str, Any]:
    try:
        text = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
        inputs = json.loads(
            text, parse_float=exact_decimal if exact else None, object_pairs_hook=unique_members
        )
    except OSError as problem:
        raise typer.BadParameter(
            f"{path} cannot be read: {problem.strerror}", param_hint="--inputs"
        ) from None
    except (ValueError, RecursionError) as problem:
        raise typer.BadParameter(f"{path} is not JSON: {problem}", param_hint="--inputs") from None
    if not isinstance(inputs, dict):
        raise typer.BadParameter(f"{path} must hold a JSON object", param_hint="--inputs")
    return inputs


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises `ValueError` for a duplicate name, of which one value would be lost."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate name {twice!r} in an object")
    return members
