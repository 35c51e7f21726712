"""Pages with items that cannot be decoded: the items returned, and the error."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from kognitos_async.messages import Redactor, Request
from kognitos_async.page_decoder import PageDecoder, page_decoder, undecoded


class Thing(msgspec.Struct, frozen=True):
    id: str
    size: int = 0


class Things(msgspec.Struct, frozen=True):
    things: tuple[Thing, ...] | None
    token: str | None = None
    total: int | None = None


GET = Request("GET", "/things?token=x")


@pytest.fixture
def decode():
    return PageDecoder(msgspec.json.Decoder(Things), "things").decode


def test_a_page_as_documented_is_decoded_whole(decode):
    """No item is left out."""
    assert decode(b'{"things": [{"id": "a"}], "token": "t"}') == (Things((Thing("a"),), "t"), ())
    assert decode(b'{"things": null}') == (Things(None), ())


def test_a_decoder_is_made_once_for_each_type():
    """A client reads thousands of pages of a few types."""
    assert page_decoder(Things, "things") is page_decoder(Things, "things")
    assert page_decoder(Things, "things").decode(b'{"things": [{"id": "a"}, 3]}')[0] == Things((Thing("a"),))


def test_bad_items_do_not_hide_the_others(decode):
    """The page keeps its other members; the bad items keep their JSON and index."""
    page, bad = decode(
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
    assert error.body == b'{"id": 3}'
    assert str(error) == (
        "GET /things: 3 items of a page are not as documented, the first at $.things[1].id: "
        "Expected `str`, got `int`. `undecoded` holds them, `continuation_token` fetches the next page"
    )
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
def test_an_invalid_page_raises_its_own_error(body, decode):
    """As without decoding item by item."""
    with pytest.raises(msgspec.DecodeError):
        decode(body)


def test_the_error_shows_no_secret(decode):
    """Not even in long items; of a confidential list it shows no body."""
    long = b'{"id": 3, "text": "' + b"x" * 100_000 + b'secret-key"}'
    _, bad = decode(b'{"things": [' + long + b"]}")
    error = undecoded(GET, "things", bad, Redactor("secret-key"))
    assert error.undecoded == (long.replace(b"secret-key", b"[redacted]"),)
    hidden = undecoded(Request("GET", "/things", confidential=True), "things", bad, Redactor("secret-key"))
    assert (hidden.undecoded, hidden.body) == ((), b"")
