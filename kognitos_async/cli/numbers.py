"""Numbers as people write them in options and cells."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


def parse_number(text: str, *, exact: bool) -> int | float | Decimal | None:
    """The number that `text` spells out, a `Decimal` rather than a float if `exact`.

    None for all else that Python would take, `1_000` or `nan`, and for what is larger than a float.
    """
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _DECIMAL.fullmatch(text):
        return None
    if exact:
        return Decimal(text)
    value = float(text)
    return value if math.isfinite(value) else None
