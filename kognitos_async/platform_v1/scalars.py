"""Plain Python scalars in place of enum members, numpy scalars and pandas times.

Neither numpy nor pandas is imported: their values are recognised by their attributes.
"""

from __future__ import annotations

import operator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_EXACT = (bool, int, float, str, Decimal, type(None))
_BASES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def plain(obj: object) -> object:
    """The Python scalar that `obj` stands for, or `obj` itself.

    An enum member becomes its value, a number of another library a `bool`, `int` or `Decimal`, an instance of
    a subclass of `str`, `int` or `float` a plain one. Raises `ValueError` for what Python cannot hold
    exactly, such as nanoseconds, and for NaT.
    """
    if type(obj) in _EXACT:
        return obj
    if isinstance(obj, Enum):
        return plain(obj.value)
    kind = _dtype_kind(obj)
    if kind is not None:
        return _of_numpy(obj, kind)
    for base, exact in _BASES:
        if isinstance(obj, base):
            return exact(obj)
    if isinstance(obj, date | time | timedelta):
        _refuse_finer(obj)
        return obj
    if hasattr(type(obj), "__index__") and not getattr(obj, "ndim", 0):
        return operator.index(cast("SupportsIndex", obj))
    return obj


def _dtype_kind(obj: object) -> str | None:
    """The dtype kind of a numpy scalar or zero-dimensional array; None for anything else."""
    kind = getattr(getattr(obj, "dtype", None), "kind", None)
    return kind if isinstance(kind, str) and getattr(obj, "ndim", None) == 0 else None


def _of_numpy(obj: Any, kind: str) -> object:
    if kind == "f":
        # str shows the intended decimal, also of a float32.
        return Decimal(str(obj))
    if kind in "Mm":
        if obj != obj:  # noqa: PLR0124 - only NaT differs from itself
            raise ValueError("a time must be a moment or None, got NaT")
        try:
            return _time_of_numpy(obj, kind)
        except OverflowError:  # numpy from 2.5 on; older versions wrap
            raise ValueError(f"a time must be within the range of Python's types, got {obj}") from None
    return _item(obj, obj, _EXACT) if kind in "biuU" else obj


def _time_of_numpy(obj: Any, kind: str) -> object:
    word = str(obj.dtype)
    if word in ("datetime64[D]", "datetime64[M]", "datetime64[Y]"):
        return _item(obj.astype("datetime64[D]"), obj, date)
    if word in ("timedelta64", "timedelta64[M]", "timedelta64[Y]"):
        raise ValueError(f"a duration must be in weeks or a smaller unit, got {obj!r}")
    whole = obj.astype("datetime64[us]" if kind == "M" else "timedelta64[us]")
    if whole.astype(obj.dtype) != obj:  # numpy wraps what overflows, also in comparisons of two units
        raise ValueError(
            f"a time must have whole microseconds and be within the range of Python's types, got {obj}"
        )
    return _item(whole, obj, datetime if kind == "M" else timedelta)


def _item(scalar: Any, shown: object, kinds: Any) -> object:
    """The Python value of a numpy scalar, which is a number for a time beyond the range of Python's."""
    found = scalar.item()
    if isinstance(found, kinds):
        return found
    raise ValueError(f"a value must be within the range of Python's types, got {shown}")


def _refuse_finer(moment: Any) -> None:
    """Refuse nanoseconds and NaT: pandas times are subclasses of Python's."""
    if moment != moment:  # noqa: PLR0124 - only NaT differs from itself
        raise ValueError("a time must be a moment or None, got NaT")
    if getattr(moment, "nanosecond", 0) or getattr(moment, "nanoseconds", 0):
        raise ValueError(f"a time must have whole microseconds, got {moment}")
