"""The same three jobs, each written as its users would: one GET, a history, an upload."""
