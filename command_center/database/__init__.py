"""How the product talks to SQLite and PostgreSQL. Knows none of the product's tables."""
