"""`service-registry`: the registry from a shell."""
