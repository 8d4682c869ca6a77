"""`command-center import`: people out of the files that other programs export."""
