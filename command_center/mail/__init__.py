"""Composition of emails, the outbox, SMTP, and the public routes of emails."""
