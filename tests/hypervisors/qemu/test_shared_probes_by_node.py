"""Readers whose questions about the host are cancelled, again and again, mark nobody as hung."""

import threading

import pytest

from mechane.tests.guest.xml import idle_xml
from mechane.tests.support.node import running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

pytestmark = [pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(120)]
CYCLES = 25


def probed(client: Rpc) -> bool:
    try:
        return bool(client.call("connection.get_capabilities", deadline_s=60))
    except RpcError as error:
        assert error.code == "busy", error  # the connection is still being opened
        return False


def test_an_administrator_is_not_disturbed() -> None:
    with running_node(["qemu:///system"]) as node, node.connect() as client:
        wait_until(lambda: probed(client), 60, "the host's capabilities")
        over, codes = threading.Event(), set[str]()

        def nag() -> None:
            with node.connect(read_only=True) as reader:
                while not over.is_set():
                    asked = [
                        reader.send("connection.get_capabilities", deadline_s=0.0005 * step) for step in range(1, 9)
                    ]
                    for number in asked:
                        try:
                            reader.answer(number)
                        except RpcError as error:
                            codes.add(error.code)

        readers = [threading.Thread(target=nag) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(CYCLES):
                client.call("domain.define_xml", xml=idle_xml("often"))
                client.call("domain.start", domain="often")
                client.call("domain.destroy", domain="often", grace_s=0)
                client.call("domain.undefine", domain="often")
        finally:
            over.set()
            for reader in readers:
                reader.join()
        assert "deadline_exceeded" in codes  # they did give up
