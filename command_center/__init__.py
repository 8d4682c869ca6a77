"""Contains everything behind the API's three layers.

See docs/architecture.md for what each package is responsible for.
"""
