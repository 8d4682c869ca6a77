"""The bodies of emails: sanitizing HTML, filling in fields, and the plain text."""
