"""`service-registry`, the command line of the registry."""
