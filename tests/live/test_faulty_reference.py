"""Every fact of the audit written by hand, sections 2 to 5, on the running server rather than on its recording."""

from collections.abc import Callable

import pytest

from auditlib.facts.snapshot import Snapshot
from tests import test_reference
from tests.live.conftest import audit

# The sections' tests, which ask for `faulty`: here the running server.
_ABOUT_FINDINGS = ("found", "sentence", "source_was_read", "repaired", "recorded")
for _name, _test in vars(test_reference).items():
    if _name.startswith("test_") and not any(word in _name for word in _ABOUT_FINDINGS):
        globals()[_name] = _test


@pytest.fixture(scope="module")
def faulty(bring_up: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    bring_up("faulty")
    return audit(tmp_path_factory.mktemp("outputs")).facts
