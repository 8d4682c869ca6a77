"""Implements `command-center import`.

It imports people from files that other programs export.
"""
