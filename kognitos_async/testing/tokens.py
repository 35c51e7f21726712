"""Continuation tokens: opaque keyset cursors, bound to the query they were issued for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

Key = tuple[float, int]
"""A position in an ordered list: rank and number."""

Query = tuple[str | None, ...]
"""The parameters that must not change between pages."""

_MAC_SIZE = 12


class InvalidTokenError(ValueError):
    """The token was not issued here, or for another query."""


class _Place(msgspec.Struct, array_like=True):
    wording: int
    rank: float | None
    number: int


class Tokens:
    """Issues and reads signed tokens."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._wordings = 0
        self._decoder = msgspec.json.Decoder(_Place)

    def issue(self, query: Query, key: Key | None, *, reworded: bool = False) -> str:
        """A token for the position after `key` (None: the start).

        Equal positions have equal tokens, except for `reworded` ones.
        """
        if reworded:
            self._wordings += 1
        rank, number = key or (None, 0)
        place = msgspec.json.encode(_Place(self._wordings if reworded else 0, rank, number))
        return base64.urlsafe_b64encode(self._mac(query, place) + place).decode().rstrip("=")

    def read(self, query: Query, token: str) -> Key | None:
        """The key after which `token` continues. Raises `InvalidTokenError` for a token of another query."""
        try:
            sealed = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
        except (UnicodeEncodeError, binascii.Error) as error:
            raise InvalidTokenError from error
        mac, place = sealed[:_MAC_SIZE], sealed[_MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(query, place)):
            raise InvalidTokenError
        found = self._decoder.decode(place)
        return None if found.rank is None else (found.rank, found.number)

    def _mac(self, query: Query, place: bytes) -> bytes:
        text = msgspec.json.encode(query)
        return hashlib.blake2b(text + place, key=self._secret, digest_size=_MAC_SIZE).digest()
