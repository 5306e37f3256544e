"""`python -m tests.testbed up|down|status`, from the repository's root."""

import argparse
import fcntl
import os
import sys

import click

from . import server
from .paths import DOCKER_HOST, STATE
from .processes import TestbedError


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description="The reference server, for real.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it (harmless when it runs)")
    up.add_argument("--variant", choices=server.VARIANTS, default="faulty")
    down = commands.add_parser("down", help="stop it and remove it")
    down.add_argument("--purge", action="store_true", help="remove the built images too")
    commands.add_parser("status", help="say what runs")
    options = parser.parse_args()

    if os.geteuid() != 0:
        click.echo("testbed: it starts a Docker engine of its own: run it as root", err=True)
        return 1
    if options.command == "up":
        STATE.mkdir(parents=True, exist_ok=True)
    elif not STATE.exists():
        click.echo("down")
        return 0
    lock = os.open(STATE, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at a time would undo each other
    try:
        if options.command == "up":
            server.up(options.variant)
            click.echo(f"up ({options.variant} variant): DOCKER_HOST={DOCKER_HOST}")
        elif options.command == "down":
            server.down(purge=options.purge)
        else:
            click.echo(server.status())
    except TestbedError as error:
        click.echo(f"testbed: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("testbed: interrupted; `python -m tests.testbed down` cleans up", err=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
