"""The HTTP edge below GraphQL.

It contains authentication, limits, security headers, error responses and uvicorn's protocols.
"""
