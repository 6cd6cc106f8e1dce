"""The functions that derive the index from the versions table, and restore that table."""
