"""SQLite: one writing connection and several reading ones, each with its own thread."""
