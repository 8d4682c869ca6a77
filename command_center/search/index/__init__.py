"""The index of saved searches: which of them an email may match."""
