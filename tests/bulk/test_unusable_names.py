"""Requests with text that UTF-8 cannot encode, as names of files on disk may hold."""

from __future__ import annotations

import re

import msgspec
import pytest

from kognitos_async import ConfigurationError
from kognitos_async.testing import KognitosServer, Schedule
from tests.bulk.test_ending import outcomes_of, requests_of

LONE = "caf\udce9.pdf"


@pytest.mark.parametrize(
    ("api", "fields", "named"),
    [
        ("v2", {"name": LONE}, "name"),
        ("v2", {"inputs": {"a": LONE}}, r"inputs\['a'\]"),
        ("v2", {"inputs": {LONE: 1}}, "an input's name"),
        ("v2", {"file_ids": [LONE]}, "file_ids"),
        ("v2", {"files": [LONE]}, "file_name"),
        ("platform", {"name": LONE}, "name"),
        ("platform", {"name": 5}, "name must be a str"),
        ("platform", {"automation": LONE}, "automation"),
        ("platform", {"inputs": {"a": [{"b": LONE}]}}, r"inputs\['a'\]"),
        ("platform", {"inputs": {LONE: 1}}, "an input's name"),
    ],
)
@pytest.mark.parametrize("journaled", [True, False])
async def test_it_is_an_error_of_its_request_alone(tmp_path, api, fields, named, journaled):
    """The others run, with a journal and without."""
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        good, bad, last = requests_of(server, api, 3)
        requests = [good, msgspec.structs.replace(bad, **fields), last]
        path = tmp_path / "j" if journaled else None
        outcomes = await outcomes_of(server, api, requests, path)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(outcomes) == 3
    [error] = errors
    assert isinstance(error, ConfigurationError)
    assert re.search(named, str(error))
