"""The writes that clients request: one function is one transaction."""
