"""What is measured, as ratios of interleaved runs: `make bench` runs every part, and each part runs alone as well.

Beside them `demo_latency`, what a second process sees beside a demo. No figure counts unless the lists were right.
"""
