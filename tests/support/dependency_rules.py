"""The rules of imports between packages, which a test keeps and the architecture page shows."""

PACKAGES = {
    "errors": {"models.enums"},
    "ids": set(),
    "email_addresses": {"search.text"},
    "time_zones": set(),
    "graphql_engine": set(),
    "database": {"errors"},
    "models": {"database"},
    "search": {"models.enums", "models.folders"},
    "changes": {"models", "database"},
    "lists": {"search", "changes", "models", "database"},
    "actions": {"search", "changes", "models", "database"},
    "mail": {"actions", "changes", "models", "database"},
    # `explain` evaluates one email from the facts that the matcher reads.
    "resolvers": {"actions", "search", "changes", "models", "database", "lists.facts"},
    # A mutation calls its action. Of `models` and `search`, the annotations name what resolvers return.
    "schema": {
        *("resolvers", "actions", "models", "changes.cursors"),
        *("search.datetimes", "search.durations", "search.explain"),
    },
    "web": {"errors"},
    # Besides the context, it needs the viewer, the messages that it broadcasts, and the errors of a failing database.
    "api": {
        *("schema", "graphql_engine", "web", "changes", "resolvers.context", "resolvers.change_messages"),
        *("models.enums", "models.viewers", "database.errors"),
    },
    "importing": {"*"},
    "demo": {"*"},
    "server": {"*"},
    "__main__": {"server.cli"},
}
"""For each package, the packages or single modules it may import beside itself and the small modules."""
