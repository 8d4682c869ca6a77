"""Accesses SQLite and PostgreSQL, without knowing the product's tables."""
