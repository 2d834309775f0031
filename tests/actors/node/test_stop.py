"""A node that is told to stop while it still opens its connections says no more than that."""

import pytest

from mechane.tests.support.node import NodeProcess
from mechane.tests.support.paths import short_folder


@pytest.mark.qemu
def test_a_stop_while_connections_are_opened_is_no_incident() -> None:
    with short_folder() as folder:
        node = NodeProcess(folder, ["qemu:///system", "test:///default"])
        with node:
            for _ in range(5):  # answering comes before opening: the driver's import and the emulator's probe run now
                node.start()
                assert node.stop() == 0
            log = node.log.read_text()
        assert "incident" not in log and "Traceback" not in log, log
