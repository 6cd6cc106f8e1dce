"""A client of the registry's HTTP API: signed requests, typed documents, errors that carry data."""
