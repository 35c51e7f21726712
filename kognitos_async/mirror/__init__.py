"""A local mirror of the history of runs: what is new is read, and what had not ended is read again."""
