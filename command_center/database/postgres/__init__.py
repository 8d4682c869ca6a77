"""PostgreSQL: pools of connections, transactions, and the meaning of errors."""
