"""Values that a test gives the emulated platform API."""

from __future__ import annotations

from datetime import date

import pytest

from kognitos_async.testing import KognitosServer


def test_a_value_of_another_type_is_refused_with_what_may_be_given():
    server = KognitosServer()
    with pytest.raises(TypeError, match=r"value must be None, a bool, number, str, .*, got date$"):
        server.platform.add_run(inputs={"day": date(2026, 1, 5)})
    assert not server.platform.runs
