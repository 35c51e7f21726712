"""Check a built site: every local link and anchor is valid, and no external resource is loaded.

python .ci/site/check_links.py DIRECTORY
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
FETCHED_RELATIONS = {"stylesheet", "preload", "preconnect", "icon", "modulepreload"}


class Links(HTMLParser):
    """The links, loaded resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag in FETCHED and FETCHED[tag] in found:
            self.fetched.append(found[FETCHED[tag]])
        elif tag == "link" and FETCHED_RELATIONS & set(found.get("rel", "").split()):
            self.fetched.append(found["href"])
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])


def faults(site: Path) -> list[str]:
    """The faults, one line each."""
    pages = {path.resolve(): Links(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for page, parsed in pages.items():
        if page.name == "404.html":  # its links are relative to the root of the server
            continue
        name = page.relative_to(site.resolve())
        for target in [*parsed.links, *parsed.fetched]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in parsed.fetched and parts.scheme != "data":
                    found.append(f"{name}: fetched from elsewhere: {target}")
                continue
            leads_to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if leads_to.is_dir():
                leads_to /= "index.html"
            if not leads_to.is_file():
                found.append(f"{name}: leads nowhere: {target}")
            elif parts.fragment and leads_to in pages:
                anchors = pages[leads_to].anchors | {"__top", ""}
                if unquote(parts.fragment) not in anchors:
                    found.append(f"{name}: no such anchor: {target}")
    if len(pages) < 20:
        found.append(f"{site} has {len(pages)} pages only")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print("\n".join(lines))
    sys.exit(bool(lines))
