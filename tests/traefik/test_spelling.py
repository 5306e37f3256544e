"""Labels that Traefik does not understand, on the recorded containers and on others."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlib.facts.tables.docker import ContainerLabel
from auditlib.traefik.decoding import DecodingError, decode_labels, docker_options
from auditlib.traefik.fields import LATEST, version
from auditlib.traefik.spelling import faults
from auditlib.views.decisions import DockerDecision
from tests.traefik.test_docker_matrix import VERSIONS, facts


@pytest.mark.parametrize("running", VERSIONS)
def test_every_container_dropped_for_one_label_is_told_and_no_other(running: str) -> None:
    snapshot, labels = facts(running), defaultdict(dict)
    for label in snapshot.rows(ContainerLabel):
        labels[label.container][label.label] = label.value
    steps = {decision.container: decision.step for decision in snapshot.rows(DockerDecision)}
    told = {name for name, own in labels.items() if any(one.drops for one in faults(own, version(running) or LATEST))}
    # Of one that does not run, an old Traefik says nothing.
    told -= {name for name, step in steps.items() if step == "stopped"}
    assert told == {name for name, step in steps.items() if step in ("labels", "options")}


def test_a_field_that_does_not_exist_is_no_name_with_a_dot() -> None:
    (fault,) = faults({"traefik.http.routers.app.foo": "x"}, LATEST)
    assert (fault.proposal, fault.drops) == (None, True)


WORDS = st.sampled_from(
    ["traefik", "Traefik", "http", "htpp", "routers", "router", "app", "rule", "tls", "enable", "", " "]
)


@given(
    st.dictionaries(
        st.lists(WORDS, min_size=1, max_size=7).map(".".join), st.sampled_from(["", "true", "1", "x", None])
    )
)
def test_what_is_proposed_for_a_label_that_drops_is_taken(labels: dict[str, str | None]) -> None:
    for fault in faults(labels, LATEST):
        assert fault.label in labels
        if fault.drops and fault.proposal:
            name, _, value = fault.proposal.partition("=")
            text = value or (labels[fault.label] if labels[fault.label] is not None else "[secret retiré]")
            decode = docker_options if name.startswith(("traefik.enable", "traefik.docker.")) else decode_labels
            try:
                decode({name: text or ""}, LATEST)
            except DecodingError as error:
                pytest.fail(f"{fault} : {error}")
