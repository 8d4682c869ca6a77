"""Tables, enumerations, the visibility of rows, and migrations."""
