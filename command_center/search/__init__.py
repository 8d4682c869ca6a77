"""The filter language: its tree, its parser and its meaning.

The meaning exists in SQL, in Python, in English and over time.

The package is pure. It does not await, read a clock or access a database: callers pass in moments and facts.
"""
