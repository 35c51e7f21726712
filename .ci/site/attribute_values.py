"""A griffe extension: values of attributes are shown where they are defaults, not where they are computed."""

from __future__ import annotations

from typing import Any

import griffe


class AttributeValues(griffe.Extension):
    """Drops values that a constructor sets, and fields of dataclasses spelled as calls."""

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Called once for each attribute."""
        value = str(attr.value)
        set_by_constructor = attr.parent is not None and attr.parent.is_class
        set_by_constructor = set_by_constructor and "class-attribute" not in attr.labels
        if set_by_constructor or "self." in value or value.startswith(("attribute(", "field(", "_")):
            attr.value = None
