"""HTML tables for the display of models in notebooks; all text is escaped."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_ROWS = 100
_LONGEST_TEXT = 500


class Collected(list[object]):
    """A list that notebooks show as a table."""

    def _repr_html_(self) -> str:
        return items_html(f"{len(self)} items", self)


def record_html(title: str, members: Sequence[tuple[str, object]]) -> str:
    """A table with a row for each member of one model."""
    rows = "".join(f"<tr><th scope='row'>{_text(name)}</th>{_cell(value)}</tr>" for name, value in members)
    return f"<table>{_caption(title)}<tbody>{rows}</tbody></table>"


def items_html(title: str, items: Sequence[object]) -> str:
    """A table with a row for each of the first 100 items; those without `_columns_` show their repr."""
    shown = [_columns(item) for item in items[:_MOST_ROWS]]
    names = list(dict.fromkeys(name for columns in shown for name, _ in columns))
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(_cell(dict(columns).get(name)) for name in names)}</tr>" for columns in shown
    )
    rest = f", the first {_MOST_ROWS} of them shown" if len(items) > _MOST_ROWS else ""
    return f"<table>{_caption(title + rest)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _columns(item: object) -> Sequence[tuple[str, object]]:
    columns = getattr(item, "_columns_", None)
    return columns() if columns is not None else [("", repr(item))]


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, datetime):
        moment = value.isoformat(" ", "seconds")
        return f"<td><time datetime='{value.isoformat()}'>{moment}</time></td>"
    return f"<td>{_text(value)}</td>"


def _caption(title: str) -> str:
    return f"<caption>{_text(title)}</caption>"


def _text(value: object) -> str:
    from html import escape  # noqa: PLC0415 - needed only in notebooks

    text = str(value)
    return escape(text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…")
