"""The command as a whole: help, version, missing extras, errors."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from types import ModuleType

import pytest
import typer

import kognitos_async
from kognitos_async import KognitosError, cli
from kognitos_async.cli.app import COMMANDS, run
from kognitos_async.cli.running import reported_errors, run_command
from tests.cli.conftest import ROOT, START


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"kognitos-async {kognitos_async.__version__}\n"


def test_help_names_every_command(capsys):
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_every_command_explains_itself(capsys, command):
    assert run([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: kognitos {command} [OPTIONS]")


def test_main_ends_the_process_with_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["kognitos", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("kognitos-async ")


def test_what_the_terminal_cannot_show_is_replaced(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    assert run(["--version"]) == 0
    print("\u2026", file=out, end="", flush=True)
    assert out.detach().getvalue().endswith(b"?")


def test_an_id_that_begins_with_a_dash_is_taken_for_an_option(capsys):
    assert run(["runs", "show", "-Uabc"]) == 2
    assert "No such option: -U. An ID that begins with - goes after --" in capsys.readouterr().err
    assert run(["runs", "show", "--unknown"]) == 2
    assert "ID that begins" not in capsys.readouterr().err


def test_main_takes_arguments_too(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "--duration", "fast"])
    assert ended.value.code == 2
    assert "must be SECONDS or LOW-HIGH" in capsys.readouterr().err


def test_it_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "kognitos_async.cli", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"kognitos-async {kognitos_async.__version__}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_it_says_what_to_install(command, missing):
    code = f"import sys; sys.modules[{missing!r}] = None; {START}"
    ended = command.run("demo", code=code)
    assert ended == (2, "", f"kognitos: {missing} is missing: pip install 'kognitos-async[cli,testing]'\n")


@pytest.mark.parametrize("arguments", [["demo"], ["serve"]])
def test_without_the_emulators_extra_it_says_what_to_install(command, arguments):
    code = f"import sys; sys.modules['jsonschema'] = None; {START}"
    returned, out, err = command.run(*arguments, code=code)
    assert (returned, out) == (2, "")
    assert err == "kognitos: jsonschema is missing: pip install 'kognitos-async[cli,testing]'\n"


def test_ctrl_c_while_it_loads_ends_it_quietly(monkeypatch):
    class Loading(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "kognitos_async.cli.app", Loading("app"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def test_another_missing_module_is_not_hidden(command):
    code = f"import sys; sys.modules['kognitos_async.cli.demo'] = None; {START}"
    returned, _, err = command.run("demo", code=code)
    assert returned == 1
    assert "ModuleNotFoundError" in err


def test_errors_of_many_tasks_are_reported_once(capsys):
    async def fails(line: str) -> None:
        raise KognitosError(line)

    async def work() -> int:
        async with asyncio.TaskGroup() as tasks:
            for line in ("the same\nline", "the same\nline", "another"):
                tasks.create_task(fails(line))
        return 0

    with pytest.raises(typer.Exit) as ended:
        run_command(work())
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "kognitos: the same line\nkognitos: another\n"


def test_an_interrupted_command_ends_with_130():
    async def work() -> int:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        run_command(work())
    assert ended.value.exit_code == 130


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KognitosError("one\nline"), 1, "kognitos: one line\n"),
        (OSError(28, "No space left"), 1, "kognitos: [Errno 28] No space left\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_command_without_a_coroutine_tells_its_errors_the_same_way(capsys, error, code, message):
    with pytest.raises(typer.Exit) as ended, reported_errors():
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == message


def test_an_error_that_a_command_lets_through_is_one_line(monkeypatch, capsys):
    def fails(**_options: object) -> None:
        raise KognitosError("a\nline")

    monkeypatch.setattr("kognitos_async.cli.app.app", fails)
    assert run([]) == 1
    assert capsys.readouterr().err == "kognitos: a line\n"


def test_what_is_not_an_expected_error_is_not_hidden():
    async def work() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(work())
