"""Definitions by families: built, planned to themselves and taken by QEMU, or refused with the path at fault."""

import pytest

from mechane.config.domain.document import format, parse
from mechane.config.domain.validation import validate
from mechane.config.errors import MechaneError
from mechane.hypervisors.qemu.argv.build import build
from mechane.hypervisors.qemu.argv.plan.planner import plan_devices
from mechane.tests.hypervisors.qemu_argv.cases import Case, cases
from mechane.tests.hypervisors.qemu_argv.conformance import resources
from mechane.tests.hypervisors.qemu_argv.emulator import EMULATOR, probed
from mechane.tests.hypervisors.qemu_argv.launcher import start
from mechane.tests.hypervisors.qemu_argv.standins import StandIns
from mechane.tests.support.paths import short_folder

pytestmark = pytest.mark.qemu
TAKEN = [case for case in cases() if not case.path]
REFUSED = [case for case in cases() if case.path]


def refusal(case: Case) -> str:
    """Return the path at which a definition is refused, '' where it is built."""
    try:
        planned = plan_devices(parse(case.xml), probed())
        validate(planned)
        build(planned, probed(), resources("/g"))
    except MechaneError as error:
        return str(error.details.get("path"))
    return ""


def test_there_are_many() -> None:
    assert len(TAKEN) > 180
    assert len(REFUSED) > 160


def test_refused_at_the_field_at_fault() -> None:
    assert {case.name: refusal(case) for case in REFUSED} == {case.name: case.path for case in REFUSED}


def test_built_and_planned_to_themselves() -> None:
    for case in TAKEN:
        assert refusal(case) == "", case.name
        text = format(plan_devices(parse(case.xml), probed()), secure=True)
        assert format(plan_devices(parse(text), probed()), secure=True) == text, case.name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_emulator_takes_them() -> None:
    for case in TAKEN:
        with short_folder() as folder:
            (folder / "secret").write_text("secret")
            argv = build(parse(case.xml), probed(), resources(str(folder))).argv
            machine = start(EMULATOR, StandIns(folder).rewrite(argv), folder)
        assert machine.error == "", case.name
