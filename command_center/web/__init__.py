"""The HTTP edge below GraphQL: authentication, limits, security headers and uvicorn's protocols."""
