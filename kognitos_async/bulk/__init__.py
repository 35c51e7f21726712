"""Bulk jobs: many runs from one stream of requests, with a journal exactly once."""
