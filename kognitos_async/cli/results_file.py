"""The outcomes of a bulk job, written as they come."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.destination import Destination
from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

COLUMNS = ("name", "run_id", "status", "error", "attempts", "resumed", "outputs")


class ResultsFile:
    """A CSV or JSONL file of outcomes: CSV where its name ends so, JSONL in any other case.

    It is opened with the first outcome, so that a job that is refused touches nothing, and takes its place
    when it is finished.
    """

    def __init__(self, path: Path) -> None:
        self.destination: Destination = Destination(path)
        self._as_csv = path.suffix.lower() == ".csv"
        self._file: BinaryIO | None = None

    @property
    def opened(self) -> bool:
        """Whether an outcome has been written."""
        return self._file is not None

    def open(self) -> None:
        """Make the file, with its heading."""
        if self._file is None:
            self._file = self.destination.open()
            if self._as_csv:
                self._send(",".join(COLUMNS) + "\r\n")

    def write(self, result: dict[str, Any]) -> None:
        """Add an outcome, by column."""
        self.open()
        if not self._as_csv:
            self._send(json_line(result) + "\n")
            return
        text = io.StringIO()
        outputs = result.get("outputs")
        cells: dict[str, Any] = {**result, "outputs": json_line(outputs) if outputs else ""}
        csv.writer(text).writerow([cells.get(column, "") for column in COLUMNS])
        self._send(text.getvalue())

    def finish(self) -> None:
        """Put the file in its place."""
        self.open()
        self.close()
        self.destination.finish()

    def close(self) -> None:
        """Close the file; one that is not finished stays beside its place."""
        if self._file is not None:
            self._file.close()

    def _send(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text.encode("utf-8", "backslashreplace"))
            self._file.flush()
        except BrokenPipeError:
            raise self.destination.lost() from None
