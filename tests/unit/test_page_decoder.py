"""Pages with items that are not as documented: what is decoded, and what the error says."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from kognitos_async.messages import Redactor, Request
from kognitos_async.page_decoder import page_decoder, undecoded


class Thing(msgspec.Struct, frozen=True):
    id: str
    size: int = 0


class Things(msgspec.Struct, frozen=True):
    things: tuple[Thing, ...] | None
    token: str | None = None
    total: int | None = None


DECODE = page_decoder(Things, "things").decode
GET = Request("GET", "/things?token=x")


def test_a_page_as_documented_is_decoded_whole():
    """With nothing left over."""
    assert DECODE(b'{"things": [{"id": "a"}], "token": "t"}') == (Things((Thing("a"),), "t"), ())
    assert DECODE(b'{"things": null}') == (Things(None), ())


def test_bad_items_do_not_hide_the_others():
    """The page keeps its other members; the bad items keep their bytes and their place."""
    page, bad = DECODE(
        b'{"total": 5, "token": "t",'
        b' "things": [{"id":"a"}, {"id": 3}, null, {"id":"b","size":"x"}, {"id":"c"}]}'
    )
    assert page == Things((Thing("a"), Thing("c")), "t", 5)
    assert [(item.index, item.json, item.field) for item in bad] == [
        (1, b'{"id": 3}', ".id"),
        (2, b"null", ""),
        (3, b'{"id":"b","size":"x"}', ".size"),
    ]
    error = undecoded(GET, "things", bad, Redactor("key"))
    assert error.path == "$.things[1].id"
    assert error.undecoded == (b'{"id": 3}', b"null", b'{"id":"b","size":"x"}')
    assert not error.malformed
    assert "GET /things" in str(error)
    assert "3 items of a page" in str(error)
    assert "Expected `str`, got `int`" in str(error)
    assert pickle.loads(pickle.dumps(error)).undecoded == error.undecoded


@pytest.mark.parametrize(
    "body",
    [
        b'{"things": {"id": "a"}}',
        b'{"things": [{"id": "a"}], "token": 3}',
        b'{"token": "t"}',
        b"[]",
        b'{"things": [{"id": 3}], "tok',
        b"<html>",
    ],
)
def test_what_is_wrong_beyond_single_items_is_an_error_of_the_page(body):
    """As it would be without looking at the items."""
    with pytest.raises(msgspec.DecodeError):
        DECODE(body)


def test_the_error_shows_no_secret():
    """Not in the bytes of long items either; of a confidential list it shows none at all."""
    long = b'{"id": 3, "text": "' + b"x" * 100_000 + b'secret-key"}'
    _, bad = DECODE(b'{"things": [' + long + b"]}")
    error = undecoded(GET, "things", bad, Redactor("secret-key"))
    assert error.undecoded == (long.replace(b"secret-key", b"[redacted]"),)
    hidden = undecoded(Request("GET", "/things", confidential=True), "things", bad, Redactor("secret-key"))
    assert (hidden.undecoded, hidden.body) == ((), b"")
