"""What Traefik makes of the machine: which containers it routes to, and where each domain leads."""
