"""Servers and clients as in the client's tests."""

from tests.client.conftest import client, connect, pytest_itemcollected, serve, server

__all__ = ["client", "connect", "pytest_itemcollected", "serve", "server"]
