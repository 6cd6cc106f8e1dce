"""The function behind the versions table's stream: keeps the index as the table implies."""
