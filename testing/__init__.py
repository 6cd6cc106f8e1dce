"""Fakes, emulators, sample data and tools that tests and benchmarks share."""
