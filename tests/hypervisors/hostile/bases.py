"""Definitions that make each writer write all that it can, by the name of its format."""

LXC = """<domain type='lxc'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
<memory unit='MiB'>64</memory>
<vcpu cpuset='0'>1</vcpu><resource><partition>/machine</partition></resource>
<blkiotune><device><path>/dev/block/8:0</path><weight>300</weight></device></blkiotune>
<os><type arch='x86_64'>exe</type><init>/sbin/init</init><initarg>one</initarg><initenv name='A'>b</initenv>
<initdir>/root</initdir><inituser>0</inituser><initgroup>0</initgroup></os>
<features><privnet/><capabilities policy='default'><mknod state='on'/></capabilities></features>
<devices><filesystem type='mount'><source dir='/srv/root'/><target dir='/'/></filesystem>
<filesystem type='mount'><source dir='/srv/data'/><target dir='/data'/></filesystem>
<filesystem type='ram'><source usage='1024'/><target dir='/tmp'/></filesystem>
<filesystem type='block'><source dev='/dev/vg/lv'/><target dir='/blk'/></filesystem>
<filesystem type='file'><source file='/srv/x.img'/><target dir='/img'/></filesystem>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='veth9'/>
<guest dev='eth0'/>
<ip address='10.0.0.2' family='ipv4' prefix='24'/><route family='ipv4' gateway='10.0.0.1'/></interface>
<interface type='direct'><source dev='eth9' mode='bridge'/></interface>
<hostdev mode='capabilities' type='net'><source><interface>eth8</interface></source></hostdev>
<console type='pty'/></devices><seclabel type='static' model='apparmor'><label>lxc-web</label></seclabel>
<lxc:namespace xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><lxc:shareipc type='name' value='other'/>
<lxc:shareuts type='netns' value='red'/></lxc:namespace></domain>"""

XEN = """<domain type='xen'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
<memory unit='MiB'>64</memory>
<vcpu cpuset='0'>1</vcpu><os><type>hvm</type><loader>/usr/lib/xen/boot/fw</loader><kernel>/boot/k</kernel>
<initrd>/boot/i</initrd><cmdline>a=b</cmdline></os><cpu mode='host-passthrough'>
<feature policy='disable' name='aes'/></cpu>
<devices><emulator>/usr/bin/dm</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/img/a'/><target dev='hda'/>
<backenddomain name='dom'/></disk>
<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='pool/img'>
<host name='mon1' port='6789'/><snapshot name='s1'/><config file='/etc/ceph.conf'/></source><target dev='hdb'/></disk>
<interface type='bridge'><source bridge='br0'/><script path='vif-bridge'/><model type='e1000'/><target dev='vif1'/>
<ip address='10.0.0.2'/><backenddomain name='dom'/></interface>
<serial type='tcp'><source mode='bind' host='localhost' service='4555'/><target port='0'/></serial>
<serial type='file'><source path='/tmp/a'/><target port='1'/></serial>
<serial type='unix'><source mode='connect' path='/tmp/b'/><target port='2'/></serial>
<serial type='udp'><source mode='connect' host='h' service='9'/><target port='3'/></serial>
<serial type='dev'><source path='/dev/ttyS0'/><target port='4'/></serial>
<channel type='unix'><source path='/tmp/c'/><target type='xen' name='org.x'/></channel>
<graphics type='vnc' port='5901' listen='127.0.0.1' keymap='en-us' passwd='secret'/></devices></domain>"""

XEN_PV = """<domain type='xen'><name>pv</name><memory unit='MiB'>64</memory><bootloader>/usr/bin/pygrub</bootloader>
<bootloader_args>--args</bootloader_args><os><type>linux</type></os><devices>
<graphics type='vnc' port='5901' listen='127.0.0.1' keymap='en-us' passwd='secret'/>
<graphics type='sdl' display=':0' xauth='/root/.x'/></devices></domain>"""

BHYVE = """<domain type='bhyve'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
<memory unit='MiB'>64</memory>
<vcpu>1</vcpu><os><type>hvm</type><loader readonly='yes' type='pflash'>/fw/UEFI.fd</loader></os><features><acpi/>
</features>
<devices><disk type='file' device='disk'><driver type='raw'/><source file='/img/a'/><target dev='vda' bus='virtio'/>
</disk>
<disk type='file' device='disk'><driver type='raw'/><source file='/img/b'/><target dev='sda' bus='sata'/></disk>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='virtio'/>
<target dev='tap9'/></interface>
<filesystem type='mount'><source dir='/srv/data'/><target dir='share'/></filesystem>
<sound model='ich7'><audio id='1'/></sound><audio id='1' type='oss'><input dev='/dev/dsp0'/><output dev='/dev/dsp1'/>
</audio>
<serial type='nmdm'><source master='/dev/nmdm0A' slave='/dev/nmdm0B'/></serial>
<graphics type='vnc' port='5904' autoport='no' passwd='secret'><listen type='address' address='127.0.0.1'/></graphics>
<video><model type='gop'/></video></devices></domain>"""

BHYVE_GRUB = """<domain type='bhyve'><name>grub</name><memory unit='MiB'>64</memory>
<bootloader>/usr/local/sbin/grub-bhyve</bootloader>
<os><type>hvm</type></os><devices><disk type='file' device='disk'><driver type='raw'/><source file='/img/a'/>
<target dev='vda' bus='virtio'/></disk><serial type='nmdm'><source master='/dev/nmdm0A' slave='/dev/nmdm0B'/>
</serial></devices></domain>"""

VMX = """<domain type='vmware'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid><title>t</title>
<description>one
two</description><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='[ds] web/a.vmdk'/><target dev='sda' bus='scsi'/></disk>
<disk type='file' device='cdrom'><source file='[ds] web/a.iso'/><target dev='hda' bus='ide'/></disk>
<controller type='scsi' index='0' model='lsilogic'/>
<interface type='bridge'><mac address='00:0c:29:00:00:01'/><source bridge='VM Network'/><model type='e1000'/>
</interface>
<serial type='file'><source path='[ds] web/s.txt'/><target port='0'/></serial>
<serial type='tcp'><source mode='connect' host='h' service='99'/><target port='1'/></serial>
<filesystem type='mount'><source dir='/srv/x'/><target dir='share'/></filesystem>
<graphics type='vnc' port='5900' autoport='no' listen='127.0.0.1' keymap='de' passwd='secret'/></devices></domain>"""

QEMU = """<domain type='qemu'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid><title>t</title>
<memory unit='MiB'>64</memory><vcpu>1</vcpu>
<sysinfo type='smbios'><bios><entry name='vendor'>v</entry></bios><oemStrings><entry>a</entry><entry>b</entry>
</oemStrings></sysinfo>
<sysinfo type='fwcfg'><entry name='opt/a'>x</entry><entry name='opt/b' file='/etc/b'/></sysinfo>
<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type><kernel>/boot/k</kernel><initrd>/boot/i</initrd>
<cmdline>a=b</cmdline>
<dtb>/boot/d</dtb><acpi><table type='slic'>/etc/slic</table></acpi><smbios mode='sysinfo'/></os>
<features><acpi/><hyperv><vendor_id state='on' value='KVMKVMKVM'/></hyperv></features>
<cpu mode='custom'><model vendor_id='GenuineIntel'>qemu64</model><feature policy='require' name='aes'/></cpu>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/img/a'/>
<target dev='vda' bus='virtio'/>
<serial>s</serial><iotune><total_bytes_sec>1000</total_bytes_sec><group_name>g</group_name></iotune>
<alias name='ua-one'/></disk>
<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='e'>
<host name='h' port='1'/></source>
<target dev='vdb' bus='virtio'/></disk>
<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='iscsi' name='iqn.a/1'>
<host name='h' port='1'/>
<initiator><iqn name='iqn.b'/></initiator></source><target dev='vdc' bus='virtio'/></disk>
<disk type='network' device='cdrom'><driver name='qemu' type='raw'/><source protocol='https' name='x.iso' query='a=b'>
<host name='h' port='443'/></source><target dev='sda' bus='sata'/></disk>
<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='pool/img'>
<host name='mon1' port='6789'/><snapshot name='s1'/><config file='/etc/ceph.conf'/></source>
<target dev='vdd' bus='virtio'/></disk>
<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='ssh' name='/x'>
<host name='h' port='22'/>
<identity username='u'/></source><target dev='vde' bus='virtio'/></disk>
<filesystem type='mount' accessmode='mapped'><source dir='/srv/d'/><target dir='tag'/></filesystem>
<interface type='user'><model type='virtio'/><ip family='ipv4' address='10.0.2.0' prefix='24'/></interface>
<interface type='user'><model type='virtio'/><portForward proto='tcp' address='127.0.0.1'>
<range start='2222' to='22'/></portForward></interface>
<interface type='server'><source address='127.0.0.1' port='5558'/><model type='e1000'/></interface>
<interface type='udp'><source address='127.0.0.1' port='5558'><local address='127.0.0.1' port='5559'/></source>
<model type='e1000'/></interface>
<interface type='bridge'><source bridge='br0'/><target dev='tap9'/><model type='virtio'/><rom file='/r'/></interface>
<serial type='pty'><log file='/l'/></serial><serial type='tcp'><source mode='connect' host='h' service='9'/></serial>
<serial type='udp'><source mode='bind' host='h' service='9'/><source mode='connect' host='h' service='9'/></serial>
<parallel type='file'><source path='/p'/></parallel>
<channel type='unix'><source mode='bind' path='/c'/><target type='virtio' name='org.x'/></channel>
<channel type='pty'><target type='guestfwd' address='10.0.2.1' port='4600'/></channel>
<channel type='spiceport'><source channel='c.0'/><target type='virtio' name='org.y'/></channel>
<console type='dev'><source path='/dev/ttyS1'/><target type='virtio'/></console>
<smartcard mode='host-certificates'><certificate>a</certificate><certificate>b</certificate>
<certificate>c</certificate>
<database>/db</database></smartcard>
<input type='passthrough' bus='virtio'><source evdev='/dev/input/event1'/></input>
<input type='evdev'><source dev='/dev/input/event2'/></input>
<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>
<graphics type='vnc' port='5900' autoport='no' keymap='de'><listen type='address' address='127.0.0.1'/></graphics>
<graphics type='spice' port='5901' autoport='no' listen='127.0.0.1' keymap='de'>
<gl enable='yes' rendernode='/dev/dri/x'/></graphics>
<graphics type='egl-headless'><gl rendernode='/dev/dri/x'/></graphics>
<audio id='1' type='pulseaudio' serverName='s'><input name='n' streamName='m'/></audio>
<audio id='2' type='file' path='/a.wav'/><audio id='3' type='jack'>
<input serverName='s' clientName='c' connectPorts='p'/></audio>
<video><model type='qxl'/></video>
<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='4000'/></redirdev>
<rng model='virtio'><backend model='random'>/dev/random</backend></rng>
<rng model='virtio'><backend model='egd' type='tcp'><source mode='connect' host='h' service='4'/></backend></rng>
<shmem name='mem0'><model type='ivshmem-plain'/></shmem>
<shmem name='mem1'><model type='ivshmem-doorbell'/><server path='/s'/></shmem>
</devices></domain>"""

QEMU_UEFI = """<domain type='qemu'><name>uefi</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
<memory unit='MiB'>64</memory>
<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader readonly='yes' type='pflash'>/fw.fd</loader>
<nvram template='/t'>/v.fd</nvram></os><features><acpi/></features>
<devices><graphics type='vnc' socket='/v.sock'/><graphics type='sdl' display=':0' xauth='/x'/>
<graphics type='dbus' address='unix:path=/d'/>
<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/><source type='unix' path='/vu'/>
<target dev='vda' bus='virtio'/></disk>
<serial type='unix'><source mode='connect' path='/u'/></serial><serial type='pipe'><source path='/p'/></serial>
</devices></domain>"""

BASES = {
    "lxc-tools": (LXC,), "xen-xl": (XEN, XEN_PV), "bhyve-argv": (BHYVE, BHYVE_GRUB), "vmware-vmx": (VMX,),
    "qemu-argv": (QEMU, QEMU_UEFI),
}  # fmt: skip
