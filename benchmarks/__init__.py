"""Benchmarks of comix against the tools people use today: quality is asserted first, then time counts."""
