"""Waiting for runs: schedules, shared polls, and following a list."""
