"""Write the Python blocks of the pages as modules, for type checkers.

python .ci/recipes.py FOLDER
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "kognitos_async/README.md", "examples/README.md", "kognitos_async/testing/README.md")
PAGES += ("kognitos_async/cli/README.md",)  # the integrations need packages that `dev` lacks
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write(folder: Path) -> int:
    """Write a module for each block, named after page and line, and return their number."""
    written = 0
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start(1)) + 1
            stem = re.sub(r"\W", "_", f"{page.removesuffix('.md')}_line_{line}").lower()
            (folder / f"{stem}.py").write_text(f"# pyright: strict\n{block[1]}")
            written += 1
    return written


if __name__ == "__main__":
    if write(Path(sys.argv[1])) < 15:
        sys.exit("fewer Python blocks than expected: do the pages still use ```python fences?")
