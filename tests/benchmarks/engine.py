"""What the engine's source costs against the engine's own floor: one list, then one inspection after the other.

Needs the testbed (root). Containers are made and never started: an inspection costs the same.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import closing

import click

from auditlib.collect import containers, engine
from auditlib.parameters import Parameters
from tests.testbed.paths import DOCKER_HOST

PREFIX = "tmp-bench-"
IMAGE = "redis"


def main(total: int = 100, rounds: int = 7) -> None:
    """Print the floor, the source (fetch and rows), and their ratio, at `total` containers."""
    parameters = Parameters(docker_host=DOCKER_HOST)
    from tests.testbed.engine import client

    with closing(client()) as docker:
        tag = next(tag for image in docker.images.list() for tag in image.tags if tag.startswith(f"{IMAGE}:"))
        missing = total - len(docker.api.containers(all=True))
        made = [docker.api.create_container(tag, name=f"{PREFIX}{number}")["Id"] for number in range(missing)]
        try:
            floor, source = _times(lambda: _floor(docker.api), rounds), _times(lambda: _source(parameters), rounds)
        finally:
            for one in made:
                docker.api.remove_container(one, force=True)
    click.echo(f"{total} containers, median of {rounds} rounds")
    click.echo(f"  floor (list and sequential inspections): {floor * 1000:.0f} ms")
    click.echo(f"  source (fetch, with networks, volumes, images, info; rows): {source * 1000:.0f} ms")
    click.echo(f"  ratio: {source / floor:.2f}")


def _floor(api: object) -> None:
    listed = api.containers(all=True)  # type: ignore[attr-defined]
    for one in listed:
        api.inspect_container(one["Id"])  # type: ignore[attr-defined]


def _source(parameters: Parameters) -> None:
    containers.rows(engine.fetch(parameters, {}))


def _times(call: Callable[[], None], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


if __name__ == "__main__":
    main()
