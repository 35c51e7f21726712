"""Where the commands write, as --output names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kognitos_async.cli.app import run
from kognitos_async.cli.destination import Destination


def test_a_place_that_cannot_be_written_is_recognized(tmp_path):
    """Nothing is opened: a FIFO without a reader would block."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "old.csv").touch(mode=0o444)
    (tmp_path / "link.csv").symlink_to(tmp_path / "none" / "there.csv")
    for good in (tmp_path / "new.csv", tmp_path / "old.csv", tmp_path / "fifo", Path("-"), Path("/dev/null")):
        assert Destination(good).problem() is None
    for bad, expected in {
        tmp_path: "it is a folder",
        tmp_path / "none" / "new.csv": f"there is no folder {tmp_path / 'none'}",
        tmp_path / "link.csv": f"there is no folder {tmp_path / 'none'}",
        tmp_path / "old.csv" / "new.csv": "Not a directory",
        Path("/dev/fd/999"): "Bad file descriptor",
    }.items():
        assert Destination(bad).problem() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "link.csv", "old.csv"]


@pytest.mark.parametrize("begin", [b"SQLite format 3\0", b"12345678DUCK"])
@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.part"])
def test_a_database_is_not_replaced(tmp_path, begin, name):
    """A journal or a mirror, in the place of the file or of its part."""
    database = tmp_path / name
    database.write_bytes(begin + b"more")
    (tmp_path / "link.csv").symlink_to(tmp_path / "runs.csv")
    for output in (tmp_path / "runs.csv", tmp_path / "link.csv"):
        assert Destination(output).problem() == f"{database} is a database, perhaps a journal or a mirror"
    assert Destination(tmp_path / "other.csv").problem() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_a_problem(tmp_path):
    tmp_path.chmod(0o500)
    assert Destination(tmp_path / "new.csv").problem() == f"the folder {tmp_path} is not writable"


@pytest.mark.parametrize("command", [("journal", "export"), ("runs", "report", "--from")])
def test_what_has_no_place_is_refused_before_it_is_read(tmp_path, capsys, command):
    source, output = tmp_path / "source", tmp_path / "none" / "page.csv"
    source.write_text("neither a journal nor a mirror")
    assert run([*command, str(source), "--output", str(output)]) == 2
    assert capsys.readouterr().err.startswith(f"kognitos: --output: cannot write {output}: ")
