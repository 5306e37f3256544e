"""What Traefik makes of the machine: which containers it routes to, and where each domain leads.

Importing this package registers its views.
"""

from auditlib.routing import decisions, differences, entrypoints, predicted, probed, provider, routes, shadowing

__all__ = ["decisions", "differences", "entrypoints", "predicted", "probed", "provider", "routes", "shadowing"]
