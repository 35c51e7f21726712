"""Waiting for runs: poll schedules, shared polls, following a list."""
