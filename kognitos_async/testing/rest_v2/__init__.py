"""REST API v2 and its file store, emulated."""
