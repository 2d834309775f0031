"""What must hold after the end of a node in the middle of changes, once a new one has taken everything up again."""

import json
import os
import re
from pathlib import Path
from typing import Any

from mechane.tests.acceptance.changes import OWNER, WORDS, Changes, Domain, Facts
from mechane.tests.support.procs import leftovers
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until

SETTLED_S = 60.0
BUILTIN = re.compile(r"(input\d|pci\.\d|ide|fdc|usb|video\d|balloon\d)$")
"""Names of devices that a machine has built in, and of mice and keyboards, which are counted."""


def settle(rpc: Rpc, load: Changes) -> None:
    """Wait until the node has taken up all guests and settled what was broken off."""
    wait_until(lambda: ready(rpc), SETTLED_S, "adoption")
    for domain in load.domains:
        wait_until(lambda: settled(rpc, domain.uuid), SETTLED_S, f"the settlement of {domain}")  # noqa: B023


def ready(rpc: Rpc) -> bool:
    """Tell whether nothing is busy any more."""
    health = rpc.call("node.get_health")
    opened = all(connection["state"] == "open" for connection in health["connections"])
    return bool(health["ready"] and opened and not health["busy"])


def settled(rpc: Rpc, uuid: str) -> bool:
    """Tell whether a verb that waits for what was broken off goes through."""
    try:
        rpc.call("domain.set_metadata", domain=uuid, type="description", value="seen", deadline_s=20)
    except RpcError as error:
        assert error.code in ("busy", "no_domain", "deadline_exceeded"), error.error
        return error.code == "no_domain"
    return True


def compare(rpc: Rpc, load: Changes) -> None:
    """Demand that everything is whole, and remember what is."""
    listed = {record["uuid"]: record for record in rpc.call("domain.list")}
    assert set(listed) <= {domain.uuid for domain in load.domains}, "a domain that nobody defined"
    pids = set()
    for domain in load.domains:
        found = facts_of(rpc, domain, listed.get(domain.uuid))
        judge(domain, found)
        if found.running:
            devices_fit(rpc, domain)
            pid = rpc.call("domain.get_info", domain=domain.uuid)["pid"]
            assert domain.pid in (None, pid), f"{domain}: another process than was acknowledged"
            domain.pid = pid
            pids.add(pid)
        owners_fit(domain, found)
    processes = {pid: argv for pid, argv in leftovers(load.node.folder).items() if pid != load.node.pid}
    emulators = {pid for pid, argv in processes.items() if "qemu-system" in argv[0] and "-uuid" in argv}
    assert emulators == pids, f"orphans or lost guests: {emulators} against {pids}"
    assert not [argv for argv in processes.values() if argv[0].endswith("qemu-img")], processes
    load.forget_saves()


def judge(domain: Domain, found: Facts) -> None:
    """Demand that a domain is as was acknowledged, or as the call under way would have made it."""
    expected = {"acknowledged": domain.facts}
    if domain.flight is not None:
        expected[domain.flight[0]] = domain.flight[1]
    matched = [name for name, facts in expected.items() if facts == found]
    assert matched, f"{domain.uuid} is\n  {found}\nand not one of\n  " + "\n  ".join(map(str, expected.items()))
    if domain.saving is not None and not found.running:
        domain.saved = domain.saving
    elif domain.saving is not None:
        assert not domain.saving[0].exists(), f"{domain.saving[0]} was left behind by a save that was taken back"
    if found.running:
        domain.saved = None
    if not found.running or domain.flight is not None:
        domain.pid = None
    domain.facts, domain.flight, domain.saving = found, None, None


def facts_of(rpc: Rpc, domain: Domain, record: dict[str, Any] | None) -> Facts:
    """Ask the node what a domain is."""
    if record is None:
        return Facts(name=domain.facts.name)
    running = record["state"] != "shutoff"
    assert record["state"] in ("running", "shutoff"), f"{domain.uuid} is {record}"
    config = rpc.call("domain.get_xml", domain=domain.uuid, inactive=True)
    live = rpc.call("domain.get_xml", domain=domain.uuid) if running else ""
    names = {each["name"] for each in rpc.call("domain.snapshot_list", domain=domain.uuid)}
    return Facts(
        name=record["name"], defined=True, running=running, autostart=record["autostart"], title=record["title"],
        memory_kib=_memory(config), live_kib=_memory(live), vcpus=_vcpus(config), live_vcpus=_vcpus(live),
        config=_devices(config), live=_devices(live), snapshots=frozenset(names),
    )  # fmt: skip


def _memory(xml: str) -> int:
    found = re.search(r"<currentMemory[^>]*>(\d+)<", xml) or re.search(r"<memory[^>]*>(\d+)<", xml)
    return int(found.group(1)) if found else 0


def _vcpus(xml: str) -> int:
    found = re.search(r"<vcpu([^>]*)>(\d+)<", xml)
    current = re.search(r"current='(\d+)'", found.group(1)) if found else None
    return int(current.group(1)) if current else int(found.group(2)) if found else 0


def _devices(xml: str) -> frozenset[str]:
    return frozenset(what for what, word in WORDS.items() if word in xml)


def devices_fit(rpc: Rpc, domain: Domain) -> None:
    """Demand that QEMU has what the live XML says: devices, files and processors; and no job."""
    xml = rpc.call("domain.get_xml", domain=domain.uuid)
    there = {item["name"] for item in _ask(rpc, domain, "qom-list", path="/machine/peripheral")
             if item["type"].startswith("child<")}  # fmt: skip
    named = set(re.findall(r"<alias name='([^']+)'", xml))
    strange = {name for name in there ^ named if not BUILTIN.match(name) and not name.startswith("vcpu")}
    assert not strange, f"half a device of {domain.uuid}: {strange}"
    tablets = sum(name.startswith("input") for name in there)
    assert tablets == xml.count("type='tablet'"), f"{domain.uuid} has {tablets} tablets"
    nodes = _ask(rpc, domain, "query-named-block-nodes", flat=True)
    files = {str(node["file"]) for node in nodes if node["drv"] == "file"}
    assert files == set(re.findall(r"<source file='([^']+)'", xml)), f"{domain.uuid} has {files}"
    assert len(_ask(rpc, domain, "query-cpus-fast")) == domain.facts.live_vcpus
    assert _ask(rpc, domain, "query-jobs") == [], "a stuck job"
    assert _ask(rpc, domain, "query-status")["status"] == "running"


def _ask(rpc: Rpc, domain: Domain, command: str, **arguments: object) -> Any:
    text = json.dumps({"execute": command, "arguments": arguments})
    return rpc.call("domain.monitor_command", domain=domain.uuid, command=text)


def owners_fit(domain: Domain, found: Facts) -> None:
    """Demand that each file belongs to whom it did before, unless a guest that runs has it.

    Clean-ups go on in the background until they are done, so they are waited for.
    """
    used = {domain.disk: found.running, domain.extra: "disk" in found.live}
    for path, in_use in used.items() if os.geteuid() == 0 else ():
        wait_until(lambda: belongs(path) is not in_use, SETTLED_S, f"{path} in the right hands, used: {in_use}")  # noqa: B023


def belongs(path: Path) -> bool:
    """Tell whether a file is its first owner's."""
    info = path.stat()
    return (info.st_uid, info.st_gid) == OWNER
