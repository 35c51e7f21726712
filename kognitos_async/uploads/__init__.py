"""Uploads: sources, the multipart form, and the responses of the file store."""
