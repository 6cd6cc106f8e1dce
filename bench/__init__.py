"""The benchmarks: counts where a cost can be counted, ratios within one run elsewhere."""
