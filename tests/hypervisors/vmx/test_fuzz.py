"""Damaged and odd .vmx files are read or refused, never a crash; what is read is valid domain XML."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mechane.config.domain.document import parse
from mechane.config.errors import MechaneError
from mechane.hypervisors.vmx.native import from_native, to_native

WHOLE = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "10"
displayName = "web |22one|22"
memsize = "512"
numvcpus = "4"
cpuid.coresPerSocket = "2"
sched.cpu.affinity = "0,1,2,3"
sched.cpu.shares = "normal"
guestOS = "other-64"
uuid.bios = "56 4d 9b ef ac d9 b4 e0-c8 f0 ae a8 b9 10 35 15"
vm.genid = "1424963296993694319"
vm.genidX = "-5704120239402535687"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "disk.vmdk"
ide0:0.present = "TRUE"
ide0:0.deviceType = "cdrom-image"
ide0:0.fileName = "a.iso"
floppy0.present = "TRUE"
floppy0.fileType = "file"
floppy0.fileName = "a.flp"
ethernet0.present = "TRUE"
ethernet0.connectionType = "custom"
ethernet0.vnet = "/dev/vmnet1"
ethernet0.addressType = "static"
ethernet0.address = "00:50:56:00:00:01"
serial0.present = "TRUE"
serial0.fileType = "network"
serial0.fileName = "telnet://[::1]:23"
RemoteDisplay.vnc.enabled = "TRUE"
RemoteDisplay.vnc.port = "5901"
svga.vramSize = "4194304"
"""
LINES = WHOLE.splitlines()
ODD = st.sampled_from(
    ["", "0", "-1", "99999999999999999999999", "unlimited", "TRUE", "\u0661", "all", "a,b", "0-3", "|22|00", "://", "]",
     "tcp://[::1:5", "tcp://h:99999", "[ds]", "../../x.vmdk", "C:\\x.vmdk", "\ufffe\ud800", "nat", "emptyBackingString"]
)  # fmt: skip


def never_crashes(data: str | bytes) -> None:
    try:
        xml = from_native(data)
    except MechaneError as error:
        assert error.remedy
        return
    domain = parse(xml)
    try:
        to_native(domain)
    except MechaneError:
        return  # such as a processor too few in the cpuset: readable, not writable


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_odd_values(data: st.DataObject) -> None:
    lines = list(LINES)
    for place in data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=3)):
        name = lines[place].partition("=")[0]
        lines[place] = f'{name}= "{data.draw(ODD | st.text(max_size=12))}"'
    never_crashes("\n".join(lines))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=8), st.integers(0, 20))
def test_damaged_bytes(place: int, put: bytes, cut: int) -> None:
    raw = WHOLE.encode()
    never_crashes(raw[:place] + put + raw[place + cut :])


def test_the_whole_file_is_read() -> None:
    assert "web &quot;one&quot;" in from_native(WHOLE) or 'web "one"' in from_native(WHOLE)
