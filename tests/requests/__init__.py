"""The road of a GraphQL request, stretch by stretch, and both sides of each line on it; decisions/0008-request-pipeline.md."""
