"""Everything behind the API's three layers: see docs/architecture.md for what each package is responsible for."""
