"""The results file of a bulk job."""

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
    """A file of outcomes: CSV if its name ends in .csv, else JSONL.

    Opened with the first outcome, so that a rejected job touches nothing, and moved into place by `finish`.
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
        """Create the file and write its header."""
        if self._file is None:
            self._file = self.destination.open()
            if self._as_csv:
                self._send(",".join(COLUMNS) + "\r\n")

    def write(self, result: dict[str, Any]) -> None:
        """Add an outcome."""
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
        """Move the file into place."""
        self.open()
        self.close()
        self.destination.finish()

    def close(self) -> None:
        """Close the file; the part of an unfinished one is kept."""
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
