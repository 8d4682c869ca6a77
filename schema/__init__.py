"""What the API offers: types, inputs, payloads and the three root types."""
