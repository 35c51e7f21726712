"""A griffe extension that shows values of attributes only if they are defaults."""

from __future__ import annotations

from typing import Any

import griffe


class AttributeValues(griffe.Extension):
    """Drops values set by constructors, and dataclass fields given as calls."""

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Drop the value of an attribute if it is not a default."""
        value = str(attr.value)
        set_by_constructor = attr.parent is not None and attr.parent.is_class
        set_by_constructor = set_by_constructor and "class-attribute" not in attr.labels
        if set_by_constructor or "self." in value or value.startswith(("attribute(", "field(", "_")):
            attr.value = None
