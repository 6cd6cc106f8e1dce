"""The functions that keep the index equal to what the versions table implies."""
