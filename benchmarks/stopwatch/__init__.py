"""What `benchmarks/speed.py` is made of: the cases, a plain loop of each, ours, and the page of what was measured."""
