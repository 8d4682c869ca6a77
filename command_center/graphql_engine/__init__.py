"""Validation, planning and execution of GraphQL documents."""
