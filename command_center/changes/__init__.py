"""The unit of work, the change log and its live subscribers."""
