"""The `kognitos` command; needs the `cli` extra."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command with the process's arguments, and end the process with its exit code."""
    try:
        from kognitos_async.cli.app import run  # noqa: PLC0415 - typer and rich may not be installed
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("typer", "rich"):
            raise
        sys.stderr.write(f"kognitos: {package} is missing: pip install 'kognitos-async[cli,testing]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())
