"""How fields of the API are resolved: permissions, pagination, loaders and streams."""
