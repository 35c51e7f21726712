"""The platform API, emulated."""
