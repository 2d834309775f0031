"""Definitions printed as command lines, read, and printed again: each option that the builder writes is read."""

import pytest

from mechane.hypervisors.qemu.native import from_native, to_native

DISK = "<source file='/a'/><target dev='vda' bus='virtio'/>"
DISKS = [
    f"<disk type='file'><driver name='qemu' type='qcow2' cache='{mode}'/>{DISK}</disk>"
    for mode in ("none", "writeback", "writethrough", "directsync", "unsafe")
] + [
    f"<disk type='file'><driver name='qemu' type='qcow2' {options}/>{DISK}</disk>"
    for options in (
        "io='threads'", "io='io_uring' cache='none'", "discard='unmap'", "discard='ignore'", "detect_zeroes='on'",
        "detect_zeroes='unmap' discard='unmap'", "copy_on_read='on'", "error_policy='stop'", "error_policy='enospace'",
        "error_policy='report' rerror_policy='ignore'", "ioeventfd='on' event_idx='off'", "queues='3' queue_size='64'",
        "iommu='on' ats='on' packed='on' page_per_vq='on'", "iothread='1'",
    )
] + [
    "<disk type='file'><driver type='raw'/><source file='/a'/><backingStore/><target dev='vdb' bus='virtio'/></disk>",
    "<disk type='file'><driver type='qcow2'/><source file='/a'/><backingStore type='block'><format type='raw'/>"
    "<source dev='/dev/b'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>",
    "<disk type='file'><driver type='qcow2'/><source file='/a'><slices><slice type='storage' offset='512' size='1024'/>"
    "</slices></source><target dev='vda' bus='virtio'/></disk>",
    "<disk type='dir'><driver type='fat'/><source dir='/d'/><target dev='vda' bus='virtio'/><readonly/></disk>",
    "<disk type='nvme'><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' slot='2' "
    "function='0'/>"
    "</source><target dev='vda' bus='virtio'/></disk>",
    "<disk type='file' model='virtio-transitional'><source file='/a'/><target dev='vda' bus='virtio'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/><serial>x y</serial><shareable/>"
    "<blockio logical_block_size='512' physical_block_size='4096' discard_granularity='65536'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='hdb' bus='ide' rotation_rate='1'/><wwn>5000c50015ea71ac</wwn>"
    "<geometry cyls='16383' heads='16' secs='63' trans='lba'/></disk>",
    "<disk type='file' device='cdrom'><source file='/a.iso'/><target dev='hdc' bus='ide' tray='open'/></disk>",
    "<disk type='file' device='cdrom'><target dev='sda' bus='scsi'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='sda' bus='scsi' removable='on'/><vendor>V</vendor>"
    "<product>P</product><serial>s</serial></disk>",
    "<controller type='scsi' model='lsilogic'/><disk type='file'><source file='/a'/><target dev='sdc' "
    "bus='scsi'/></disk>",
    "<disk type='block' device='lun'><source dev='/dev/s'><reservations managed='yes'/></source>"
    "<target dev='sda' bus='scsi'/></disk>",
    "<disk type='block' device='lun'><source dev='/dev/s'><reservations managed='no'><source type='unix' path='/p' "
    "mode='client'/></reservations></source><target dev='sda' bus='scsi'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='sda' bus='usb' removable='on'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='nvme0n1' bus='nvme'/><serial>s</serial></disk>",
    "<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/></disk>"
    "<disk type='file'><source file='/b'/><target dev='sdc' bus='sata'/></disk>",
    "<disk type='file' device='floppy'><source file='/f'/><target dev='fda' bus='fdc'/><boot order='2'/></disk>"
    "<disk type='file' device='floppy'><source file='/g'/><target dev='fdb' bus='fdc'/><boot order='1'/></disk>",
    "<disk type='file'><source file='/a,b'/><target dev='vdc' bus='virtio'/><boot order='3'/></disk>"
    "<disk type='file'><source file='/b'/><target dev='vdb' bus='virtio'/></disk>",
] + [
    f"<disk type='network'><source {source}</source><target dev='vda' bus='virtio'/></disk>"
    for source in (
        "protocol='nbd' name='e'><host name='h' port='1'/>", "protocol='nbd'><host transport='unix' socket='/s'/>"
        "<reconnect delay='3'/>", "protocol='iscsi' name='iqn.x/2'><host name='h'/>"
        "<initiator><iqn name='iqn.me'/></initiator>", "protocol='rbd' name='p/i'><host name='m1' port='1'/>"
        "<host name='m2'/><snapshot name='s'/><config file='/c'/>", "protocol='rbd' name='p/n/i'>",
        "protocol='gluster' name='v/p/q'><host name='h'/>", "protocol='ssh' name='/p'><host name='h'/>"
        "<identity username='u'/>", "protocol='nfs' name='/p'><host name='h'/><identity user='+1' group='2'/>",
        "protocol='https' name='p/q' query='a=b'><host name='h' port='444'/><ssl verify='no'/><readahead size='65536'/>"
        "<timeout seconds='6'/>", "protocol='ftp' name='p'><host name='::1'/>",
    )
]  # fmt: skip
NICS = [
    f"<interface type='{kind}'>{source}<mac address='52:54:00:00:00:01'/><model type='{model}'/>{more}</interface>"
    for kind, source, model, more in (
        ("user", "", "virtio", "<driver name='qemu' txmode='timer' ioeventfd='on' event_idx='off' queues='4' "
         "rx_queue_size='512' tx_queue_size='256' rss='on' rss_hash_report='off'><host csum='off' gso='off' tso4='off' "
         "tso6='off' ecn='off' ufo='off' mrg_rxbuf='off'/><guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/>"
         "</driver>"),
        ("user", "<ip family='ipv4' address='10.1.0.0' prefix='16'/><ip family='ipv6' address='fd::' prefix='64'/>"
         "<portForward proto='udp' address='127.0.0.1'><range start='7' end='9' to='17'/></portForward>"
         "<portForward proto='tcp'><range start='80'/></portForward>", "e1000", "<rom bar='off' file='/r'/>"),
        ("bridge", "<source bridge='br0'/>", "virtio", "<tune><sndbuf>7</sndbuf></tune><mtu size='1400'/>"),
        ("ethernet", "<target dev='tap3'/>", "e1000e", "<rom enabled='no'/><boot order='1'/>"),
        ("network", "<source network='n'/>", "virtio", "<driver queues='2'/><teaming type='persistent'/>"),
        ("server", "<source address='1.2.3.4' port='5'/>", "rtl8139", ""), ("client", "<source address='h' port='5'/>",
                                                                          "pcnet", ""),
        ("mcast", "<source address='230.0.0.1' port='5'/>", "ne2k_pci", ""),
        ("udp", "<source address='h' port='5'><local address='l' port='6'/></source>", "virtio-non-transitional", ""),
        ("vhostuser", "<source type='unix' path='/v' mode='client'><reconnect enabled='yes' timeout='9'/></source>",
         "virtio", "<driver queues='2'/>"),
        ("vhostuser", "<source type='unix' path='/v' mode='server'/>", "virtio", ""),
        ("vdpa", "<source dev='/dev/vhost-vdpa-0'/>", "virtio", ""), ("user", "", "usb-net", ""),
    )
]  # fmt: skip
SOURCES = (
    "type='pty'>", "type='null'>", "type='vc'>", "type='dev'><source path='/dev/ttyS0'/>",
    "type='file'><source path='/f' append='on'/>", "type='pipe'><source path='/p'/>",
    "type='tcp'><source mode='bind' host='0.0.0.0' service='4'/><protocol type='telnet'/>",
    "type='tcp'><source mode='connect' host='h' service='4'><reconnect enabled='yes' timeout='4'/></source>"
    "<protocol type='raw'/>", "type='udp'><source mode='bind' host='h' service='4'/><source mode='connect' host='k' "
    "service='5'/>", "type='unix'><source mode='bind' path='/u'/>", "type='unix'><source mode='connect' path='/u'/>",
    "type='spicevmc'>", "type='pty'><log file='/l' append='off'/>", "type='spiceport'><source channel='c'/>",
    "type='dbus'><source channel='org.x'/>",
)  # fmt: skip
PORTS = [
    f"<serial {source}<target type='isa-serial' port='0'/></serial>" for source in SOURCES if "spicevmc" not in source
] + [
    f"<channel {source}<target type='virtio' name='com.redhat.spice.0'/></channel>" for source in SOURCES
] + [
    "<parallel type='pty'><target port='0'/></parallel>", "<console type='pty'><target type='virtio'/></console>",
    "<serial type='pty'><target type='usb-serial' port='0'/></serial>",
    "<serial type='pty'><target type='pci-serial' port='0'/></serial>",
    "<serial type='pty'><target type='isa-debug'/><address type='isa' iobase='0x402'/></serial>",
    "<serial type='pty'><target type='isa-serial' port='1'/><address type='isa' iobase='0x3f8' irq='0x4'/></serial>",
    "<channel type='pty'><target type='guestfwd' address='10.0.2.1' port='4600'/></channel>",
    "<channel type='qemu-vdagent'><source><clipboard copypaste='yes'/><mouse mode='server'/></source>"
    "<target type='virtio' name='com.redhat.spice.0'/></channel>",
    "<channel type='unix'><source mode='bind' path='/u'/><target type='virtio' name='a'/>"
    "<address type='virtio-serial' controller='1' bus='0' port='3'/></channel>",
    "<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='4000'/><protocol type='raw'/>"
    "<boot order='1'/></redirdev><redirfilter><usbdev class='0x08' vendor='0x1234' product='0xBEEF' version='2.56' "
    "allow='yes'/><usbdev allow='no'/></redirfilter>",
    "<smartcard mode='host'/>", "<smartcard mode='host-certificates'><certificate>a</certificate>"
    "<certificate>b</certificate><certificate>c</certificate><database>/db</database></smartcard>",
    "<smartcard mode='passthrough' type='spicevmc'/>",
]  # fmt: skip
OTHERS = [
    "<controller type='usb' model='qemu-xhci' ports='8'/>", "<controller type='usb' model='none'/>",
    "<controller type='usb' index='0' model='ich9-ehci1'/><controller type='usb' index='0' model='ich9-uhci1'>"
    "<master startport='0'/></controller>", "<controller type='usb' index='0'/><controller type='usb' index='1' "
    "model='pci-ohci'/><input type='mouse' bus='usb'><address type='usb' bus='1' port='2'/></input>",
    "<controller type='scsi' model='virtio-scsi'><driver queues='2' cmd_per_lun='9' max_sectors='8' ioeventfd='on' "
    "iothread='1' packed='on'/></controller>", "<controller type='scsi' model='lsisas1078'/>",
    "<controller type='virtio-serial' ports='4' vectors='2' model='virtio-transitional'/>",
    "<controller type='pci' index='0' model='pci-root'><pcihole64 unit='KiB'>1048576</pcihole64></controller>",
    "<controller type='pci' index='1' model='pci-bridge'/><hub type='usb'/>",
    "<input type='tablet' bus='virtio'/><input type='mouse' bus='virtio' model='virtio-non-transitional'/>"
    "<input type='keyboard' bus='usb'/><input type='passthrough' bus='virtio'><source evdev='/dev/input/e1'/></input>",
    "<input type='evdev'><source dev='/dev/input/e1' grab='all' repeat='on' grabToggle='ctrl-ctrl'/></input>",
    "<sound model='ich9'><codec type='micro'/><codec type='output'/></sound>", "<sound model='ac97'/><sound "
    "model='usb'/>",
    "<sound model='sb16'/><sound model='es1370'/><sound model='ich6'/><sound model='pcspk'/>",
    "<audio id='2' type='pulseaudio' serverName='s'><input mixingEngine='yes' fixedSettings='yes' voices='2' "
    "bufferLength='9' name='n' streamName='t' latency='7'><settings frequency='44100' channels='2' "
    "format='s16'/></input>"
    "<output voices='1'/></audio><sound model='ac97'><audio id='2'/></sound>",
    "<audio id='1' type='oss' tryMMap='yes' exclusive='no' dspPolicy='3'><input dev='/dev/dsp' bufferCount='4' "
    "tryPoll='yes'/></audio>", "<audio id='1' type='jack'><output serverName='s' clientName='c' connectPorts='p' "
    "exactName='yes'/></audio>", "<audio id='1' type='file' path='/w' timerPeriod='9'/>",
    "<video><model type='qxl' ram='65536' vram='32768' vgamem='8192' heads='2'/></video><video><model "
    "type='qxl'/></video>",
    "<video><model type='virtio' heads='2' blob='on'><acceleration accel3d='yes'/><resolution x='800' y='600'/></model>"
    "<driver iommu='on'/></video>", "<video><model type='bochs' vram='8192'/></video>", "<video><model "
    "type='ramfb'/></video>",
    "<video><model type='vga' vram='32768'/></video><video><model type='virtio'/></video>",
    "<video><model type='vmvga' vram='9216'/></video>", "<video><model type='none'/></video>",
    "<graphics type='vnc' port='5907' listen='1.2.3.4' websocket='5800' keymap='de' sharePolicy='ignore' "
    "powerControl='yes'/>", "<graphics type='vnc' socket='/s'/>", "<graphics type='vnc'><listen "
    "type='none'/></graphics>",
    "<graphics type='vnc' autoport='yes'/><graphics type='egl-headless'><gl rendernode='/r'/></graphics>",
    "<graphics type='spice' port='5901' listen='::1' defaultMode='insecure'><channel name='main' mode='insecure'/>"
    "<image compression='off'/><jpeg compression='never'/><zlib compression='always'/><playback compression='off'/>"
    "<streaming mode='all'/><clipboard copypaste='no'/><mouse mode='server'/><filetransfer enable='no'/></graphics>",
    "<graphics type='spice'><listen type='socket' socket='/s'/><gl enable='yes' rendernode='/r'/></graphics>",
    "<graphics type='spice'><listen type='none'/></graphics>", "<graphics type='sdl' display=':1' xauth='/x' "
    "fullscreen='yes'><gl enable='yes'/></graphics>", "<graphics type='dbus' p2p='yes'><gl enable='yes'/></graphics>",
    "<graphics type='dbus' address='unix:path=/x'/>",
    "<watchdog model='ib700' action='shutdown'/>", "<watchdog model='i6300esb' action='dump'/>", "<panic model='isa'/>",
    "<panic model='isa'><address type='isa' iobase='0x506'/></panic>", "<panic model='pvpanic'/>",
    "<rng model='virtio'><rate bytes='9'/><backend model='random'>/dev/random</backend></rng>",
    "<rng model='virtio-transitional'><rate bytes='9' period='3'/><backend model='builtin'/></rng>",
    "<rng model='virtio'><backend model='egd' type='unix'><source mode='connect' path='/u'/></backend></rng>",
    "<tpm model='tpm-crb'><backend type='passthrough'><device path='/dev/tpm1'/></backend></tpm>",
    "<tpm model='tpm-tis'><backend type='external'><source type='unix' mode='connect' path='/t'/></backend></tpm>",
    "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>",
    "<shmem name='m' role='master'><model type='ivshmem-plain'/><size unit='M'>8</size></shmem>",
    "<shmem name='m'><model type='ivshmem-doorbell'/><server path='/s'/><msi vectors='4' ioeventfd='on'/></shmem>",
    "<vsock model='virtio-transitional'><cid auto='no' address='9'/></vsock>",
    "<crypto model='virtio' type='qemu'><backend model='builtin' queues='2'/></crypto>",
    "<crypto model='virtio' type='qemu'><backend model='lkcf'/></crypto>",
    "<filesystem type='mount' accessmode='mapped' fmode='644' dmode='755' multidevs='remap'><source dir='/s'/>"
    "<target dir='t'/><readonly/></filesystem>", "<filesystem type='mount' model='virtio-non-transitional'>"
    "<driver type='path' wrpolicy='immediate'/><source dir='/s'/><target dir='t'/></filesystem>",
    "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='6' slot='2' function='5'/>"
    "</source><rom bar='on' file='/r'/><boot order='1'/></hostdev>",
    "<hostdev mode='subsystem' type='usb'><source guestReset='uninitialized'><vendor id='0x1234'/><product "
    "id='0xbeef'/>"
    "</source></hostdev>", "<hostdev mode='subsystem' type='usb'><source guestReset='off'><address bus='14' "
    "device='6'/>"
    "</source></hostdev>", "<hostdev mode='subsystem' type='mdev' model='vfio-pci' display='on' ramfb='on'><source>"
    "<address uuid='53764d0e-85a0-42b4-af5c-2046b460b1dc'/></source></hostdev>",
    "<hostdev mode='subsystem' type='scsi'><source protocol='iscsi' name='iqn.x/1'><host name='h' port='3260'/>"
    "<initiator><iqn name='iqn.me'/></initiator></source><readonly/>"
    "<address type='drive' controller='0' bus='0' target='3' unit='2'/></hostdev>",
    "<memballoon model='virtio' autodeflate='on' freePageReporting='on'><driver packed='on'/></memballoon>",
    "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/><acpi index='7'/><link state='up'/>"
    "<address type='pci' bus='0' slot='9' function='0' multifunction='on'/></interface>",
]  # fmt: skip
Q35 = [
    "<iommu model='intel'><driver intremap='on' caching_mode='on' eim='on' iotlb='on' aw_bits='48'/></iommu>",
    "<iommu model='virtio'/>", "<watchdog model='itco' action='poweroff'/>",
    "<controller type='pci' index='1' model='pcie-root-port'><target chassis='9' port='0x12' "
    "hotplug='off'/></controller>",
    "<controller type='pci' index='1' model='pcie-expander-bus'><target busNr='200'/></controller>",
    "<controller type='pci' index='1' model='pcie-to-pci-bridge'/><disk type='file'><source file='/a'/>"
    "<target dev='sdd' bus='sata'/></disk>",
    "<disk type='file' device='floppy'><source file='/f'/><target dev='fda' bus='fdc'/><boot order='2'/></disk>",
    "<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/><address type='drive' controller='1' bus='0' "
    "target='0' unit='3'/></disk>",
]  # fmt: skip
ABOVE = [
    "<cpu mode='host-passthrough' migratable='off'><topology sockets='1' dies='2' cores='2' threads='2'/>"
    "<cache mode='passthrough'/><maxphysaddr mode='passthrough' limit='40'/><feature policy='disable' "
    "name='svm'/></cpu>"
    "<vcpu current='4'>8</vcpu>", "<cpu mode='maximum'><maxphysaddr mode='emulate' bits='42'/></cpu>",
    "<cpu><model vendor_id='KVMKVMKVMKVM'>qemu64</model><cache level='3' mode='emulate'/>"
    "<feature policy='require' name='aes'/></cpu>", "<cpu><model>qemu64</model><cache mode='disable'/></cpu>",
    "<vcpu>4</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/><vcpu id='1' enabled='no' hotpluggable='yes'/>"
    "<vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/><vcpu id='3' enabled='no' hotpluggable='yes'/></vcpus>",
    "<iothreads>2</iothreads>", "<iothreads>2</iothreads><iothreadids><iothread id='4' thread_pool_min='1' "
    "thread_pool_max='8'/><iothread id='2'/></iothreadids><defaultiothread thread_pool_max='5'/>",
    "<memoryBacking><source type='memfd'/><access mode='shared'/><allocation mode='immediate' threads='3'/><discard/>"
    "</memoryBacking>", "<memoryBacking><nosharepages/><locked/></memoryBacking>",
    "<memoryBacking><source type='memfd'/><hugepages><page size='2' unit='MiB'/></hugepages></memoryBacking>",
    "<numatune><memory mode='interleave' nodeset='0-1'/></numatune>",
    "<maxMemory slots='4' unit='GiB'>2</maxMemory><vcpu>4</vcpu><cpu><numa><cell id='0' cpus='0-1' memory='32' "
    "unit='MiB' "
    "memAccess='shared'><distances><sibling id='0' value='10'/><sibling id='1' value='21'/></distances></cell>"
    "<cell id='1' cpus='2,3' memory='32' unit='MiB' discard='yes'><distances><sibling id='0' value='21'/>"
    "<sibling id='1' value='10'/></distances></cell></numa></cpu>"
    "<numatune><memnode cellid='1' mode='preferred' nodeset='0'/></numatune>",
    "<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/k</kernel><initrd>/i</initrd><cmdline>a=b c,d</cmdline>"
    "<dtb>/d</dtb><acpi><table type='slic'>/t</table></acpi><bootmenu enable='yes' timeout='3000'/>"
    "<bios useserial='yes' rebootTimeout='9'/></os><clock offset='absolute' start='1000'/>",
    "<os><type arch='x86_64' machine='pc'>hvm</type><loader type='rom'>/b</loader><boot dev='network'/>"
    "<boot dev='hd'/></os>", "<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' secure='yes' "
    "type='pflash'>/c</loader><nvram>/v</nvram></os><features><acpi/><smm state='on'><tseg unit='MiB'>48</tseg></smm>"
    "</features>", "<os><type arch='x86_64' machine='pc'>hvm</type><smbios mode='sysinfo'/></os><sysinfo type='smbios'>"
    "<bios><entry name='vendor'>a,b</entry></bios><system><entry name='serial'>s</entry></system><baseBoard>"
    "<entry name='asset'>q</entry></baseBoard><chassis><entry "
    "name='sku'>k</entry></chassis><oemStrings><entry>x</entry>"
    "<entry>y,z</entry></oemStrings></sysinfo><sysinfo type='fwcfg'><entry name='opt/a'>v</entry>"
    "<entry name='opt/b' file='/f'/></sysinfo>",
    "<features><acpi/><apic eoi='on'/><hyperv mode='custom'><relaxed state='on'/><spinlocks state='on' retries='8191'/>"
    "<stimer state='on'><direct state='on'/></stimer><vendor_id state='on' value='me'/></hyperv><kvm><hidden "
    "state='on'/>"
    "<poll-control state='on'/></kvm><pvspinlock state='off'/><pmu state='off'/><vmport state='off'/><ps2 state='off'/>"
    "<vmcoreinfo state='on'/><async-teardown enabled='yes'/></features>",
    "<features><acpi/><tcg><tb-cache unit='MiB'>64</tb-cache></tcg><hyperv mode='passthrough'/></features>",
    "<features/>",
    "<clock offset='utc'><timer name='rtc' track='wall' tickpolicy='catchup'/><timer name='pit' tickpolicy='discard'/>"
    "<timer name='hpet' present='no'/><timer name='kvmclock' present='no'/><timer name='hypervclock' present='yes'/>"
    "<timer name='tsc' frequency='1000'/></clock>", "<clock offset='timezone' timezone='Europe/Paris'/>",
    "<clock offset='localtime'/>", "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='yes'/></pm>",
    "<on_reboot>destroy</on_reboot>", "<genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>",
]  # fmt: skip
MODULES = (
    "<memory model='dimm'><source><nodemask>0</nodemask></source><target><size unit='MiB'>32</size><node>0</node>"
    "</target></memory>", "<memory model='dimm' access='shared' discard='yes'><target><size unit='MiB'>32</size>"
    "<node>0</node></target><address type='dimm' slot='2' base='0x100000000'/></memory>",
    "<memory model='nvdimm' access='shared'><uuid>49545eb3-75e1-2d0a-acdd-f0294406c99e</uuid><source><path>/n</path>"
    "<alignsize unit='KiB'>2048</alignsize><pmem/></source><target><size unit='MiB'>32</size><node>0</node>"
    "<label><size unit='KiB'>256</size></label><readonly/></target></memory>",
    "<memory model='virtio-pmem' access='shared'><source><path>/n</path></source><target><size unit='MiB'>32</size>"
    "</target></memory>", "<memory model='virtio-mem'><target><size unit='MiB'>32</size><node>0</node>"
    "<block unit='KiB'>2048</block><requested unit='MiB'>16</requested></target></memory>",
)  # fmt: skip
ROOM = ("<maxMemory slots='4' unit='GiB'>2</maxMemory><cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa>"
        "</cpu>")  # fmt: skip


def domain(devices: str, above: str = "", machine: str = "pc") -> str:
    """Return the XML of a small guest."""
    os = "" if "<os>" in above else f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os>"
    ioapic = "<ioapic driver='qemu'/>" if "intremap" in devices else ""
    features = "" if "<features" in above else f"<features><acpi/>{ioapic}</features>"
    shown = "spice" in devices or "display='on'" in devices
    devices += "<graphics type='spice'/>" if shown and "<graphics" not in devices else ""
    kind = "kvm" if "host-passthrough" in above else "qemu"
    threads = "<iothreads>1</iothreads>" if "iothread=" in devices else ""
    return (
        f"<domain type='{kind}'><name>t</name><uuid>1ccfd97d-5eb4-478a-bbe6-88d254c16db7</uuid>"
        f"<memory unit='MiB'>64</memory>{os}{features}{threads}{above}<devices>{devices}</devices></domain>"
    )


def compare(xml: str) -> None:
    """Print, read, and print again."""
    first = to_native(xml)
    assert to_native(from_native(first)).splitlines() == first.splitlines()


@pytest.mark.parametrize("devices", DISKS)
def test_disks(devices: str) -> None:
    compare(domain(devices))


@pytest.mark.parametrize("devices", NICS)
def test_interfaces(devices: str) -> None:
    compare(domain(devices))


@pytest.mark.parametrize("devices", PORTS)
def test_character_devices(devices: str) -> None:
    compare(domain(devices))


@pytest.mark.parametrize("devices", OTHERS)
def test_other_devices(devices: str) -> None:
    compare(domain(devices))


@pytest.mark.parametrize("devices", Q35)
def test_devices_of_q35(devices: str) -> None:
    compare(domain(devices, machine="q35"))


@pytest.mark.parametrize("above", ABOVE)
def test_the_machine(above: str) -> None:
    compare(domain("<serial type='pty'/>", above))


@pytest.mark.parametrize("module", MODULES)
def test_memory_modules(module: str) -> None:
    compare(domain(module, ROOM))
