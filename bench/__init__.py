"""The benchmarks: counts where the cost can be counted, ratios within one run where it can't."""
