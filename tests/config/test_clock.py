"""Clocks as libvirt 9.0 writes the same definitions back, and what they show."""

import calendar
import time

import pytest

from mechane.config.domain.completion import complete
from mechane.config.domain.document import format, parse
from mechane.tests.hypervisors.qemu_argv.definitions import command, definition

HEAD = "<domain type='qemu'><name>u</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os>"


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("offset='utc' adjustment='7200'", "offset='variable' adjustment='7200' basis='utc'"),
        ("offset='localtime' adjustment='-60'", "offset='variable' adjustment='-60' basis='localtime'"),
        ("offset='utc' adjustment='0'", "offset='variable' adjustment='0' basis='utc'"),
        ("offset='utc' adjustment='reset'", "offset='utc' adjustment='reset'"),
        ("offset='variable' adjustment='reset'", "offset='variable' adjustment='0' basis='utc'"),
        ("offset='timezone' timezone='UTC' adjustment='3'", "offset='timezone' timezone='UTC'"),
    ],
)
def test_a_number_makes_a_clock_variable(clock: str, expected: str) -> None:
    written = format(complete(parse(f"{HEAD}<clock {clock}/></domain>")))
    (line,) = [line for line in written.splitlines() if "<clock" in line]
    assert sorted(line.strip().strip("</>").split()[1:]) == sorted(expected.split())


def test_a_variable_clock_of_local_time_counts_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def base(basis: str) -> float:
        above = f"<clock offset='variable' adjustment='60' basis='{basis}'/>"
        line = command(definition("", above=above), clock_base=1_800_000_000)
        text = line.argv[line.argv.index("-rtc") + 1].removeprefix("base=")
        return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))

    monkeypatch.setenv("TZ", "XST-2")
    time.tzset()
    try:
        assert (base("utc"), base("localtime")) == (1_800_000_060, 1_800_000_060 + 2 * 3600)
    finally:
        monkeypatch.undo()
        time.tzset()
