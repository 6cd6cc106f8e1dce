"""The benchmarks: they count costs where possible, and otherwise compare times within one run."""
