"""The servers and clients of the client's tests, for what can go wrong on the way."""

from tests.client.conftest import client, connect, pytest_itemcollected, serve, server

__all__ = ["client", "connect", "pytest_itemcollected", "serve", "server"]
