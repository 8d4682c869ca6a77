"""What is measured: the ratios (`python -m benchmarks`), and the latency that a second process sees beside a demo."""
