"""Resolves the fields of the API: permissions, pagination, loaders and streams."""
