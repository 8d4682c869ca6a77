"""Applications as clients write them, against the product; they need Node."""
