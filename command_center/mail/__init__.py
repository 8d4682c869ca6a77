"""Composition of emails, the outbox, SMTP, and the tracking and unsubscribe routes."""
