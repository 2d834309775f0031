"""The host's capabilities: read from /sys, written as libvirt writes them, and judged by its schema and by itself."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read
from mechane.hypervisors.qemu.host.topology import HostCache, HostThread, read_list, read_topology
from mechane.hypervisors.qemu.host_capabilities import find_emulators
from mechane.tests.hypervisors.qemu.env import node, run

SAME = (
    "host topology cells cell cpus cpu", "host topology cells cell distances sibling", "host cache bank",
    "host cpu arch", "host cpu vendor", "host cpu topology", "host cpu pages", "host cpu maxphysaddr", "host iommu",
    "guest arch emulator", "guest arch wordsize", "guest os_type",
)  # fmt: skip
"""What both documents must say of one host, as paths."""
SCHEMA = Path("/usr/share/libvirt/schemas/capability.rng")


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder that stands for /sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def two_nodes(root: Path) -> Path:
    """Make a host of two sockets with two cores of two threads each, one node a socket."""
    files = {"devices/system/cpu/online": "0-7", "power/state": "freeze mem disk",
             "power/disk": "[platform] shutdown reboot suspend test_resume",
             "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "5"}  # fmt: skip
    for number in range(8):
        socket, core, cpu = number // 4, number // 2 % 2, f"devices/system/cpu/cpu{number}"
        files[f"{cpu}/topology/physical_package_id"] = str(socket)
        files[f"{cpu}/topology/core_id"] = str(core)
        files[f"{cpu}/topology/die_id"] = "0"
        files[f"{cpu}/topology/thread_siblings_list"] = f"{number // 2 * 2}-{number // 2 * 2 + 1}"
        for index, (level, kind, size) in enumerate((("1", "Data", "32K"), ("3", "Unified", "8192K"))):
            place = f"{cpu}/cache/index{index}"
            files |= {f"{place}/level": level, f"{place}/type": kind, f"{place}/size": size, f"{place}/id": str(socket),
                      f"{place}/shared_cpu_list": f"{socket * 4}-{socket * 4 + 3}"}  # fmt: skip
    for number in range(2):
        place = f"devices/system/node/node{number}"
        files |= {f"{place}/cpulist": f"{number * 4}-{number * 4 + 3}", f"{place}/distance": "10 21",
                  f"{place}/meminfo": f"Node {number} MemTotal:  1048576 kB\nNode {number} MemFree:  99 kB",
                  f"{place}/hugepages/hugepages-2048kB/nr_hugepages": str(number * 4)}  # fmt: skip
    return tree(root, files)


def test_a_host_with_two_nodes(tmp_path: Path) -> None:
    found = read_topology(two_nodes(tmp_path))
    assert found.counts == {"sockets": 2, "dies": 1, "cores": 2, "threads": 2}
    assert [cell.id for cell in found.cells] == [0, 1]
    second = found.cells[1]
    assert second.memory_kib == 1048576 and second.pages == ((4, (1048576 - 8192) // 4), (2048, 4))
    assert second.distances == ((0, 10), (1, 21))
    assert second.threads[2] == HostThread(id=6, socket=1, die=0, core=1, siblings="6-7")
    assert found.caches == (
        HostCache(id=0, level=3, type="both", size_kib=8192, cpus="0-3"),
        HostCache(id=1, level=3, type="both", size_kib=8192, cpus="4-7"),
    )
    assert found.page_sizes_kib == (4, 2048)
    assert found.sleeps == ("suspend_mem", "suspend_disk", "suspend_hybrid")


def test_a_host_that_says_nothing_is_one_cell(tmp_path: Path) -> None:
    found = read_topology(tree(tmp_path, {"devices/system/cpu/cpu0/topology/core_id": "-1", "power/state": ""}))
    assert len(found.cells) == 1 and found.cells[0].threads == (HostThread(id=0, siblings="0"),)
    assert found.counts == {"sockets": 1, "dies": 1, "cores": 1, "threads": 1}
    assert not found.caches and not found.sleeps
    assert read_list("0-2,7,") == [0, 1, 2, 7] and read_list("") == []


def test_emulators_are_found_by_architecture(tmp_path: Path) -> None:
    for name in ("system-x86_64", "system-x86_64-microvm", "system-i386", "system-none", "kvm"):
        (tmp_path / f"qemu-{name}").touch(0o755)
    (tmp_path / "qemu-system-aarch64").touch(0o644)
    found = [Path(path).name for path in find_emulators(tmp_path / "qemu-kvm")]
    assert found == ["qemu-system-i386", "qemu-system-x86_64", "qemu-kvm"]


async def _document(short_tmp: Path) -> dict[str, Any]:
    async with node(short_tmp) as n:
        return await n.driver.get_capabilities()


def children(node: XmlNode, *path: str) -> list[XmlNode]:
    """Return the elements at a path below a node."""
    found = [node]
    for tag in path:
        found = [child for item in found for child in item.children if child.tag == tag]
    return found


@pytest.mark.qemu
def test_the_document_is_valid(short_tmp: Path) -> None:
    if not SCHEMA.exists() or shutil.which("xmllint") is None:
        pytest.skip("libvirt's schemas or xmllint are not installed (Debian: libvirt0, libxml2-utils)")
    xml = run(_document(short_tmp))["xml"]
    # xmllint takes no dot in the name of a feature, in libvirt's own documents neither
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(SCHEMA), "-"], input=xml.replace("sse4.", "sse4_"),
                          text=True, timeout=60, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.qemu
def test_libvirt_says_the_same_of_this_host(short_tmp: Path) -> None:
    virsh = shutil.which("virsh")
    if virsh is None:
        pytest.skip("libvirt's virsh is not installed (Debian: libvirt-clients, libvirt-daemon)")
    done = subprocess.run([virsh, "-c", f"qemu:///embed?root={short_tmp / 'e'}", "capabilities"], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    if done.returncode:
        pytest.skip(f"libvirt's embedded driver does not run here: {done.stderr.strip()}")
    theirs, ours = read(done.stdout), read(run(_document(short_tmp))["xml"])
    for path in SAME:
        assert children(ours, *path.split()) == children(theirs, *path.split()), path
    names = [{item.text for item in children(root, "guest", "arch", "machine")} for root in (ours, theirs)]
    assert names[0] == names[1]


@pytest.mark.qemu
def test_its_processor_compares_as_the_hosts(short_tmp: Path) -> None:
    async def body() -> None:
        async with node(short_tmp) as n:
            document = (await n.driver.get_capabilities())["xml"]
            compared = await n.driver.compare_cpu(document)
            assert compared["result"] == "identical", compared
            joined = await n.driver.baseline_cpu([document, document], expand=False, migratable=False)
            assert (await n.driver.compare_cpu(joined["xml"]))["result"] == "identical"

    run(body())
