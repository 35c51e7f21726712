"""Outcomes written as they come, beside their place, and moved there when all are in."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

COLUMNS = ("name", "run_id", "status", "error", "attempts", "resumed", "outputs")


class ResultsFile:
    """A CSV or JSONL file of outcomes: a context manager.

    It is written to `PATH.part` and takes its place only when the block ends well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._as_csv = path.suffix.lower() == ".csv"

    def __enter__(self) -> Self:
        self._file = self.part.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._rows: csv.DictWriter[str] = csv.DictWriter(self._file, COLUMNS)
        if self._as_csv:
            self._rows.writeheader()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None:
            self.part.replace(self.path)

    def write(self, result: dict[str, Any]) -> None:
        """One outcome, by column."""
        if self._as_csv:
            outputs = result.get("outputs")
            self._rows.writerow({**result, "outputs": json.dumps(outputs) if outputs else ""})
        else:
            self._file.write(json.dumps(result) + "\n")
        self._file.flush()
