"""The `kognitos` command; needs the `cli` extra."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command with `arguments`, by default `sys.argv`, and exit with its exit code."""
    try:
        from kognitos_async.cli.app import run  # noqa: PLC0415 - typer and rich may not be installed

        code = run(arguments)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("typer", "rich"):
            raise
        sys.stderr.write(f"kognitos: {package} is missing: pip install 'kognitos-async[cli,testing]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)
