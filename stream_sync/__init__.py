"""The function behind the versions table's stream: keeps the index equal to what the table implies."""
