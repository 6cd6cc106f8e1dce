"""The benchmarks: counts if a cost can be counted, otherwise ratios within one run."""
