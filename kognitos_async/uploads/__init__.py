"""Uploads: sources, the multipart form, and the file store's answers."""
