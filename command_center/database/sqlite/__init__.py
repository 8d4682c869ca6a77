"""SQLite: one writing connection, several that read, and a thread for each."""
