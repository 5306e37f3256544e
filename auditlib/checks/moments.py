"""When the facts of a snapshot were true: checks have no clock of their own."""

import datetime as dt

import pandas as pd

from auditlib.facts.legacy import records
from auditlib.facts.snapshot import AbsentTable

DAY = dt.timedelta(days=1)
# What a log tells counts for so long: certificates are tried again every day at least, a provider every minute.
RECENT = 7 * DAY


def now(docker_engine: pd.DataFrame) -> dt.datetime:
    """The time of the collection, as the engine's clock said it. Raises AbsentTable when it is not known."""
    clock = next((row["clock"] for row in records(docker_engine)), None)
    if clock is None:
        raise AbsentTable("docker_engine", "l’heure de la collecte n’est pas connue")
    moment: dt.datetime = clock
    return moment


def start(traefik: pd.DataFrame | None) -> dt.datetime | None:
    """The second in which Traefik started, None when that is not known. Its log tells no less than seconds."""
    started = None if traefik is None else next((row["started"] for row in records(traefik)), None)
    return None if started is None else started.replace(microsecond=0)
