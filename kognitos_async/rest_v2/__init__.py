"""REST API v2: agents, processes, runs and files."""
