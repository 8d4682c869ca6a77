"""The road of a GraphQL request, from the socket to the executor and back; decisions/0008."""
