"""Changes of JSON answers, for faults that rewrite them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.fault_kinds import Asked

_DEFAULTS: tuple[object, ...] = (0, "", "0", [], None)


def items_of(payload: Any, asked: Asked) -> list[dict[str, Any]]:
    """The objects of an answer: the items of a page, or the answer itself."""
    if not isinstance(payload, dict):
        return []
    found = cast("dict[str, Any]", payload)
    if asked.page is None:
        return [found]
    return found[asked.page.items_field] or []


def of_items(change: Callable[[dict[str, Any]], bool]) -> Callable[[Any, Asked], Any]:
    """A rewrite that applies to answers with at least one object that `change` applies to."""

    def changed(payload: Any, asked: Asked) -> Any:
        fitting = [change(item) for item in items_of(payload, asked)]
        return payload if any(fitting) else None

    return changed


def set_state(item: dict[str, Any], word: str, members: Mapping[str, Any]) -> bool:
    """Set the state of a platform API run; False if `item` is none."""
    state = item.get("state")
    if not isinstance(state, dict):
        return False
    entered = {name: value for name, value in cast("dict[str, Any]", state).items() if name == "update_time"}
    item["state"] = {word: dict(members), **entered}
    return True


def with_wrong_type(payload: Any, asked: Asked) -> Any:
    """The payload with a field of another type."""
    if not isinstance(payload, dict):
        return None
    found = cast("dict[str, Any]", payload)
    name = asked.page.items_field if asked.page else "id" if "id" in found else next(iter(found), "id")
    found[name] = "wrong" if asked.page else {"wrong": True}
    return found


def with_extra(value: Any) -> Any:
    """The value with an additional member in every object."""
    if isinstance(value, dict):
        found = {name: with_extra(inner) for name, inner in cast("dict[str, Any]", value).items()}
        return {**found, "x_added_later": {"nested": [1, None, "text"]}}
    if isinstance(value, list):
        return [with_extra(inner) for inner in value]
    return value


def without_defaults(value: Any) -> Any:
    """The value as in proto3 JSON, without zero, false, empty and null members."""
    if isinstance(value, dict):
        found = {name: without_defaults(inner) for name, inner in cast("dict[str, Any]", value).items()}
        return {name: inner for name, inner in found.items() if inner not in _DEFAULTS}
    if isinstance(value, list):
        return [without_defaults(inner) for inner in value]
    return value


def with_null_lists(value: Any) -> Any:
    """The value with null in place of every list, except that of a page's items."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return {
            name: None if isinstance(inner, list) else with_null_lists(inner) for name, inner in found.items()
        }
    return value
