"""The HTTP edge below GraphQL: authentication, limits, security headers, errors and uvicorn's protocols."""
