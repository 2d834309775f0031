"""The systemd unit for real: guests outlive a restart, the death and the hang of the node's main process."""

from collections.abc import Iterator

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.wait import wait_until
from mechane.tests.systemd.machine import Machine, missing, systemd_machine

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.timeout(180)]
WATCHDOG_S = 8
BACK_S = 60.0


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Give a systemd whose node runs a guest named `sd`."""
    if missing():
        pytest.skip(missing())
    settings = {"WatchdogSec": str(WATCHDOG_S), "LimitNOFILE": "4096"}
    with systemd_machine(settings, "--connection", "qemu:///system") as machine:
        machine.write("/run/sd.xml", idle_xml("sd"))
        machine.mechane("define", "/run/sd.xml")
        machine.mechane("start", "sd")
        yield machine
        machine.mechane("destroy", "sd", "--grace", "0")


def process_of(machine: Machine) -> str:
    """Return the guest's process, as the node and its monitor know it."""
    assert "running" in machine.mechane("qemu-monitor-command", "sd", "--hmp", "info status")
    lines = machine.mechane("dominfo", "sd").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Process:"))


def wait_for_restart(machine: Machine, restarts: int) -> None:
    """Wait until systemd has restarted the node by itself so many times, and it is ready again."""
    wait_until(
        lambda: (machine.show("NRestarts"), machine.show("ActiveState")) == (str(restarts), "active"),
        BACK_S, f"restart {restarts}",
    )  # fmt: skip


def test_a_restart_of_the_unit_leaves_guests_alone(machine: Machine) -> None:
    guest, node = process_of(machine), machine.show("MainPID")
    machine.run("systemctl", "restart", "mechaned")
    assert machine.show("ActiveState") == "active" and machine.show("MainPID") != node
    assert process_of(machine) == guest


def test_guests_outlive_the_death_and_the_hang_of_the_main_process(machine: Machine) -> None:
    guest, restarts = process_of(machine), int(machine.show("NRestarts"))
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "mechaned")
    wait_for_restart(machine, restarts + 1)
    assert process_of(machine) == guest
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "mechaned")  # the watchdog ends it
    wait_for_restart(machine, restarts + 2)
    assert process_of(machine) == guest


def test_a_stop_of_the_unit_ends_the_node_alone(machine: Machine) -> None:
    guest = process_of(machine)
    machine.run("systemctl", "stop", "mechaned")
    assert machine.show("Result") == "success" and machine.show("MainPID") == "0"
    machine.run("kill", "-0", guest)
    machine.run("systemctl", "start", "mechaned")
    assert process_of(machine) == guest
