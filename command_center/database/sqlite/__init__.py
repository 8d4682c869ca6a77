"""Accesses SQLite with one writing connection and several reading ones.

Each connection has its own thread.
"""
