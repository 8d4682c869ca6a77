"""Implements `command-center import`, which imports people from files that other programs export."""
