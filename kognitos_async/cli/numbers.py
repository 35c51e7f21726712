"""Numbers in options and cells."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


def parse_number(text: str, *, exact: bool) -> int | float | Decimal | None:
    """Parse `text` as an int or a float, with `exact` a `Decimal` instead of a float.

    None if it is no number; so are `1_000`, `nan`, and numbers beyond the range of a float.
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


def exact_decimal(text: str) -> Decimal:
    """A JSON number with a point or an exponent as a `Decimal`, of which no digit is lost.

    Raises `ValueError` for an exponent beyond the range of `Decimal`.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text} is out of range") from None
