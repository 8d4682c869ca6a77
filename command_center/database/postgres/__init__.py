"""PostgreSQL: pools of connections, transactions, and errors by their meaning."""
