"""The road of a GraphQL request, stretch by stretch; decisions/0008."""
