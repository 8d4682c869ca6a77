"""Puts the product together: application, settings, leases, metrics, command line."""
