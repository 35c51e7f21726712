"""The same jobs written as users of each client would: a GET, a history, an upload."""
