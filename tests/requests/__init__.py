"""What a request may be, tried at both sides of each line, on real sockets."""
