"""Bulk jobs: many runs from a stream of requests, each started exactly once with a journal."""
