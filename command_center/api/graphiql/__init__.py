"""The GraphiQL page, served from our own origin: fetching its parts, serving them, and our own script and style."""
