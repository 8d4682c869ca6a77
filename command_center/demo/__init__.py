"""Implements `command-center demo`.

It runs the product with a temporary database, a mail server and simulated recipients.

The demo uses the product's public interfaces: the API, SMTP and the tracking links. Only the creation of the user and
the final audit of the lists use the product's internals, as the command line does.
"""
