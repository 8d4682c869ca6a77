"""The GraphiQL page with its assets, served from the server's own origin."""
