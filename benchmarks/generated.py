"""The client that openapi-python-client generates from the API's description, once per run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = Path(__file__).parent.parent / "kognitos_async" / "testing" / "rest_v2.openapi.json"
PACKAGE = "generated_client"


@contextmanager
def generated_client() -> Iterator[Path | None]:
    """The folder to import `generated_client` from; None if the tool is not installed."""
    if importlib.util.find_spec("openapi_python_client") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "generate",
            "--path",
            str(DESCRIPTION),
            "--meta",
            "none",
            "--output-path",
            f"{folder}/{PACKAGE}",
        ]
        subprocess.run(
            [sys.executable, "-m", "openapi_python_client", *command],
            check=True,
            stdout=subprocess.DEVNULL,  # it warns that ruff, which would format the client, is missing
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
        yield Path(folder)
