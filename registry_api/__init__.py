"""The registry's HTTP API: publishing, and looking at what was published."""
