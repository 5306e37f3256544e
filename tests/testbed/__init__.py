"""The reference server, for real, on a private Docker engine. See README.md."""
