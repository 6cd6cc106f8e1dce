"""The registry's HTTP API: publish, change, read and resolve versions."""
