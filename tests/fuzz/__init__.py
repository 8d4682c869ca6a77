"""Random and hostile requests against a real server: none breaks it, and none makes it say more than it should."""
