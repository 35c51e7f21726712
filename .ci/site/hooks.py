"""Adds the Markdown pages of the repository, the examples and lists of models to the site.

Pages keep their paths, so that relative links work both on the site and on a code host. Links to Python files
lead to pages that show them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
GUIDES = (
    "README.md",
    "kognitos_async/README.md",
    "kognitos_async/cli/README.md",
    "kognitos_async/testing/README.md",
    "kognitos_async/integrations/*.md",
    "examples/README.md",
    "examples/*/README.md",
    "benchmarks/*.md",
    ".github/*.md",
)
MODELS = "kognitos_async.platform_v1.models"
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from elsewhere in the repository."""
    for pattern in GUIDES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            page = File(name, str(ROOT), config.site_dir, use_directory_urls=True)
            if name.startswith(".github/"):  # hidden folders are not served everywhere
                page.dest_uri = f"project/{path.stem.lower()}/index.html"
            files.append(page)
    for path in sorted((ROOT / "examples").glob("*.py")):
        source = path.read_text()
        text = f"# {path.name}\n\n```python\n{source}```\n"
        page = File.generated(config, f"examples/{path.stem}.md", content=text)
        page.inclusion = page.inclusion.NOT_IN_NAV
        files.append(page)
    for area, names in models().items():
        title = area.replace("_", " ").capitalize()
        lines = [f"# {title}", "", f"Importable from `{MODELS}`.", ""]
        for name in names:
            lines += [f"::: {MODELS}.{name}", ""]
        files.append(File.generated(config, f"reference/models/{area}.md", content="\n".join(lines)))
    return files


def models() -> dict[str, list[str]]:
    """The public models by module."""
    found: dict[str, list[str]] = {}
    tree = ast.parse((ROOT / "kognitos_async/platform_v1/models/__init__.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(MODELS):
            area = (node.module or "").rpartition(".")[2]
            # Enumerations of runs are listed with the runs.
            area = {"words": "runs", "base": "shared"}.get(area, area)
            found.setdefault(area, []).extend(alias.name for alias in node.names)
    return {area: sorted(names) for area, names in sorted(found.items())}


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Rewrite links to examples, and remove links to folders."""
    if page.file.src_uri == "README.md":
        page.meta["hide"] = ["navigation"]  # it has no subpages
    folder = ROOT / Path(page.file.src_uri).parent

    def led(link: re.Match[str]) -> str:
        text, target = link.groups()
        if target.endswith(".py") and (folder / target).parent.name == "examples":
            return f"[{text}]({target.removesuffix('.py')}.md)"
        # Files without a page on the site, such as folders, lose their link.
        return link[0] if target.endswith(".md") or not (folder / target).exists() else text

    return _LINK.sub(led, markdown)
