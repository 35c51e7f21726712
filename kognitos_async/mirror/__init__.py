"""A local mirror of the run history, updated incrementally: new runs and runs that had not ended."""
