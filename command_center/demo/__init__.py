"""`command-center demo`: the product at work on a throw-away database, with a mail server and recipients of its own.

It speaks to the product as anybody else does: the public API, SMTP and the tracking links. Only the user is made, and
the lists are audited at the end, from inside, as the command line does.
"""
