"""UEFI: firmware chosen by its descriptors or named, variables of the guest's own, a kernel under OVMF."""

import re
from pathlib import Path

import pytest

from mechane.config.errors import ConfigUnsupported
from mechane.tests.guest.xml import idle_xml
from mechane.tests.hypervisors.qemu.env import node, run
from mechane.tests.hypervisors.qemu.linux import Linux

pytestmark = pytest.mark.qemu
UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"
CODE, VARS = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
PLAIN = "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
SHELL_S = 50


def uefi(text: str, os: str = "<os firmware='efi'>", more: str = PLAIN) -> str:
    """Return a q35 guest with UEFI instead of a BIOS."""
    text = text.replace("<os>", os).replace("machine='pc'", "machine='q35'").replace('"pc"', '"q35"')
    return text.replace("  </os>", f"{more}</os>")


def test_chosen_firmware_gets_variables_that_go_with_the_definition(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            target, started, facts = await n.start(uefi(idle_xml("efi", uuid=UUID, memory_mib=64)), uuid=UUID)
            live = started.live_xml or ""
            assert "firmware='efi'" in live and "type='pflash'" in live and "OVMF_CODE" in live
            (file,) = re.findall(r"<nvram[^>]*>([^<]*)</nvram>", live)
            variables = Path(file)
            assert variables == n.env.state_dir / "nvram" / f"{UUID}_VARS.fd"
            identity = n.driver._shop.identity
            assert variables.stat().st_uid == identity.uid
            assert variables.stat().st_size == VARS.stat().st_size
            await n.destroy(target, facts)
            assert variables.exists()
            await n.driver.undefine(target)
            assert variables.exists(), "nobody said that they shall go"
            await n.driver.forget_state(target, ["nvram"])
            assert not variables.exists()

    run(body())


def test_named_firmware_keeps_its_variables(short_tmp: Path) -> None:
    short_tmp.chmod(0o755)
    variables = short_tmp / "mine.fd"
    named = (
        f"<loader readonly='yes' type='pflash'>{CODE}</loader><nvram template='{VARS}'>{variables}</nvram>"
    )

    async def body() -> None:
        async with node(short_tmp) as n:
            xml = uefi(idle_xml("efi", uuid=UUID, memory_mib=64), os="<os>", more=named)
            target, _, facts = await n.start(xml, uuid=UUID)
            assert variables.stat().st_uid == n.driver._shop.identity.uid
            await n.destroy(target, facts)
            variables.write_bytes(variables.read_bytes()[:-1] + b"x")
            target, _, facts = await n.start(xml, uuid=UUID)  # kept, not copied anew
            assert variables.read_bytes().endswith(b"x")
            await n.destroy(target, facts)
            await n.driver.undefine(target)
            assert variables.exists()

    run(body())


def test_firmware_that_nothing_fits_is_refused(short_tmp: Path) -> None:
    more = PLAIN.replace("<firmware>", "<firmware><feature enabled='yes' name='enrolled-keys'/>")

    async def body() -> None:
        async with node(short_tmp) as n:
            with pytest.raises(ConfigUnsupported, match="no installed UEFI firmware") as refused:
                await n.start(uefi(idle_xml("efi", uuid=UUID), more=more), uuid=UUID)
            assert "ovmf" in refused.value.remedy
            assert n.guest_folders() == []

    run(body())


def test_a_guest_reaches_its_prompt_under_uefi(short_tmp: Path, guest_image: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)

    async def body() -> None:
        async with node(short_tmp) as n:
            edit = ("<os>", f"<os firmware='efi'>{PLAIN}")
            guest = await Linux.boot(n, guest_image, machine="q35", memory_mib=256, edit=edit)
            assert await guest.run("test -d /sys/firmware/efi && echo efi") == "efi"

    run(body())
