"""Exact decimals of the API: a 96-bit mantissa, a scale of 0 to 28, a sign."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_BITS = 96
_LARGEST_SCALE = 28
_SIGN = 1 << 31
_MEMBERS = frozenset({"lo", "mid", "hi", "flags"})


def write_number(number: float | Decimal) -> dict[str, int]:
    """The members of a number, without zeros. Raises `ValueError` for one that would be rounded.

    A float counts as the decimal that its `repr` shows.
    """
    exact = Decimal(float.__repr__(number)) if isinstance(number, float) else Decimal(number)
    sign, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"a number must be finite, got {exact}")  # noqa: TRY004 - of the right type
    if digits == (0,) and not -_LARGEST_SCALE <= exponent <= 0:
        exponent = 0
    fits = len(digits) <= 2 * _LARGEST_SCALE + 2 and exponent <= _LARGEST_SCALE + 1
    mantissa = int("".join(map(str, digits))) if fits else 1 << _BITS
    if exponent > 0:
        mantissa, exponent = mantissa * 10**exponent if fits else mantissa, 0
    while exponent < 0 and not mantissa % 10 and (exponent < -_LARGEST_SCALE or mantissa >> _BITS):
        mantissa, exponent = mantissa // 10, exponent + 1
    if mantissa >> _BITS or exponent < -_LARGEST_SCALE:
        raise ValueError(
            f"a number must have at most {_BITS} bits and {_LARGEST_SCALE} decimal places, got "
            f"{_shortened(exact)}, which does not fit without rounding"
        )
    parts = {
        "lo": mantissa & 0xFFFFFFFF,
        "mid": mantissa >> 32 & 0xFFFFFFFF,
        "hi": mantissa >> 64,
        "flags": (-exponent << 16) | (_SIGN if sign else 0),
    }
    return {name: part for name, part in parts.items() if part}


def _shortened(number: Decimal) -> str:
    text = f"{number:.12E}" if number.adjusted() > 2 * _LARGEST_SCALE else str(number)
    return text if len(text) <= 2 * _LARGEST_SCALE else f"{text[: 2 * _LARGEST_SCALE]}…"


def read_number(content: object) -> int | Decimal | None:
    """An int if the scale is 0, else a Decimal of the same scale; None for anything else."""
    if not isinstance(content, Mapping) or content.keys() - _MEMBERS:
        return None
    parts = [whole(content, name) for name in ("lo", "mid", "hi", "flags")]
    lo, mid, hi, flags = parts
    if flags < 0:
        flags += 1 << 32  # read as a signed 32-bit integer
    scale = flags >> 16 & 0xFF
    if not all(0 <= part < 1 << 32 for part in (lo, mid, hi)) or flags & ~(_SIGN | 0xFF0000):
        return None
    if scale > _LARGEST_SCALE:
        return None
    mantissa = lo | mid << 32 | hi << 64
    negative = bool(flags & _SIGN)
    if scale == 0 and (mantissa or not negative):
        return -mantissa if negative else mantissa
    return Decimal((int(negative), tuple(map(int, str(mantissa))), -scale))


def whole(content: Mapping[str, Any], member: str) -> int:
    """An integer member, possibly written as text; 0 if it is absent or null.

    Raises `ValueError` for anything else.
    """
    found = content.get(member)
    if found is None:
        return 0
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise ValueError(f"{member} must be an integer, got {type(found).__name__}")  # noqa: TRY004 - data
    return int(found)
