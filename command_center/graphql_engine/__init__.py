"""Validation, planning and execution of GraphQL documents. Knows the schema, but nothing of the product."""
