"""Decoding of pages: as a whole, or item by item if that fails, so that a bad item does not lose others."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from kognitos_async.errors import DecodeError
from kognitos_async.messages import decoder_for

if TYPE_CHECKING:
    from kognitos_async.messages import Redactor, Request

T = TypeVar("T")

_FIELD = re.compile(r" - at `(?:key in )?\$([^`]*)`")


class BadItem(msgspec.Struct, frozen=True):
    """An item that could not be decoded: its index on the page, its JSON, the invalid field, the reason."""

    index: int
    json: bytes
    field: str
    reason: str


class PageDecoder(Generic[T]):
    """Decodes pages with the decoder `whole`; `member` is the field that holds the items."""

    def __init__(self, whole: msgspec.json.Decoder[T], member: str) -> None:
        self._whole = whole
        self._member = member

    def decode(self, body: bytes) -> tuple[T, tuple[BadItem, ...]]:
        """The page, and the items left out of it because they could not be decoded.

        Raises what `msgspec.json.Decoder.decode` raises when the page itself is invalid.
        """
        try:
            return self._whole.decode(body), ()
        except msgspec.ValidationError:
            found = self._item_by_item(body)
            if found is None:
                raise
            return found

    def _item_by_item(self, body: bytes) -> tuple[T, tuple[BadItem, ...]] | None:
        """The page without its bad items; None if the page itself is invalid."""
        page = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        listed = page.get(self._member)
        if listed is None or not bytes(listed).startswith(b"["):
            return None
        good: list[msgspec.Raw] = []
        bad: list[BadItem] = []
        for index, item in enumerate(msgspec.json.decode(listed, type=list[msgspec.Raw])):
            try:
                self._whole.decode(self._page_of(page, [item]))
            except (msgspec.ValidationError, RecursionError) as problem:
                at = _FIELD.search(str(problem))
                field = at[1].removeprefix(f".{self._member}[0]") if at else ""
                bad.append(BadItem(index, bytes(item), field, _FIELD.sub("", str(problem))))
            else:
                good.append(item)
        if not bad:
            return None
        return self._whole.decode(self._page_of(page, good)), tuple(bad)

    def _page_of(self, page: dict[str, msgspec.Raw], items: list[msgspec.Raw]) -> bytes:
        return msgspec.json.encode({**page, self._member: items})


@functools.lru_cache(maxsize=128)
def page_decoder(response: type[T], member: str) -> msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]]:
    """The cached `PageDecoder` of a type, usable in place of a msgspec decoder."""
    made: Any = PageDecoder(decoder_for(response), member)
    return cast("msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]]", made)


def undecoded(request: Request, member: str, bad: tuple[BadItem, ...], redactor: Redactor) -> DecodeError:
    """The error for the items of a page that could not be decoded, with secrets removed."""
    first = bad[0]
    path = f"$.{member}[{first.index}]{first.field}"
    reason = redactor.clean(first.reason.encode()).decode(errors="replace")  # may end within a character
    return DecodeError(
        f"{request.method} {request.path}: {len(bad)} items of a page are not as documented, the first at "
        f"{path}: {reason}. `undecoded` holds them, `continuation_token` fetches the next page",
        path=path,
        body=b"" if request.confidential else redactor.clean(first.json),
        undecoded=() if request.confidential else tuple(redactor.remove(item.json) for item in bad),
    )
