"""docs/drivers.md is what the registry says now."""

from mechane.hypervisors.matrix import drivers, drivers_page, mandatory_verbs
from mechane.tests.support.paths import ROOT


def test_drivers_page_is_current() -> None:
    page = (ROOT / "docs" / "drivers.md").read_text()
    assert page == drivers_page(), "docs/drivers.md is old: run `make docs`"


def test_the_contract_stays_small() -> None:
    assert len(mandatory_verbs()) <= 14
    assert "test" in drivers()
