"""The GraphiQL page, served from the server's own origin: fetches and serves its assets, script and style."""
