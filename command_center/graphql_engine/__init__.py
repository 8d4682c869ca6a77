"""Validates, plans and executes GraphQL documents.

The package knows the schema, but nothing of the product.
"""
