"""Makes the files of a release: `make release`, docs/releasing.md."""
