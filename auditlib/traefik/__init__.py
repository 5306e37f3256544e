"""Traefik as a language, by version: rules, labels, files, and who answers a request."""
