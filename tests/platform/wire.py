"""Values as the API has them."""

from __future__ import annotations

import jsonschema
import msgspec

from kognitos_async import from_value, to_value
from tests.platform.spec import DOCUMENT


def wire(obj):
    """As the API gets and gives it: through JSON."""
    return msgspec.json.decode(msgspec.json.encode(to_value(obj)))


def back(obj):
    """As it is read after that."""
    return from_value(wire(obj))


VALUE = jsonschema.Draft202012Validator({**DOCUMENT, "$ref": "#/components/schemas/commonV1Value"})
"""Validates a value as the vendor describes it."""
