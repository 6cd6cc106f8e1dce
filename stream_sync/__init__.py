"""The function behind the versions table's stream: keeps the index what the table implies."""
