"""The filter language: its syntax tree, its parser and its evaluation.

A filter can be compiled to SQL or to a Python predicate, described in English, and indexed.

The package is pure. It does not await, read a clock or access a database: callers pass in moments and facts.
"""
