"""Devices and parts of a boot that name on the host what a grant of some folders does not reach."""

RAW = (
    "<disk type='file' device='disk'><driver name='qemu' type='{2}'/><source file='{0}'/>"
    "<target dev='{1}' bus='virtio'/>{3}</disk>"
)
OUTSIDE = {
    "disk": RAW.format("{secret}", "vda", "raw", ""),
    "dots": RAW.format("{images}/../private/shadow", "vda", "raw", ""),
    "descriptor": RAW.format("/proc/self/fd/0", "vda", "raw", ""),
    "relative": RAW.format("etc/shadow", "vda", "raw", ""),
    "optional": RAW.format("{secret}' startupPolicy='optional", "vda", "raw", ""),
    "readonly": RAW.format("{secret}", "vda", "raw", "<readonly/>"),
    "transient": RAW.format("{secret}", "vda", "raw", "<transient/>"),
    "block": "<disk type='block'><source dev='/dev/vda'/><target dev='vda'/></disk>",
    "file as block": "<disk type='block'><source dev='{secret}'/><target dev='vda'/></disk>",
    "both": "<disk type='block'><source dev='/dev/null' file='{secret}'/><target dev='vda'/></disk>",
    "dir": "<disk type='dir'><driver type='fat'/><source dir='{private}'/><target dev='vda'/><readonly/></disk>",
    "backing": RAW.format("{images}/none", "vda", "qcow2", "<backingStore type='file'><format type='raw'/>"
                          "<source file='{secret}'/><backingStore/></backingStore>"),
    "vmdk": RAW.format("{images}/none", "vda", "vmdk", ""),
    "nvme": "<disk type='nvme'><source type='pci' managed='yes' namespace='1'><address domain='0' bus='1' slot='0' "
            "function='0'/></source><target dev='vda'/></disk>",
    "vhostuser": "<disk type='vhostuser'><source type='unix' path='{private}/x'/><target dev='vda' bus='virtio'/>"
                 "</disk>",
    "nbd": "<disk type='network'><source protocol='nbd' name='x'><host name='127.0.0.1'/></source>"
           "<target dev='vda'/></disk>",
    "nbd socket": "<disk type='network'><source protocol='nbd' name='x'><host transport='unix' socket='{private}/x'/>"
                  "</source><target dev='vda'/></disk>",
    "serial file": "<serial type='file'><source path='{private}/new'/></serial>",
    "serial dev": "<serial type='dev'><source path='/dev/tty1'/></serial>",
    "serial pipe": "<serial type='pipe'><source path='{private}/pipe'/></serial>",
    "serial tcp": "<serial type='tcp'><source mode='connect' host='127.0.0.1' service='22'/></serial>",
    "log": "<serial type='pty'><log file='{private}/log'/></serial>",
    "channel": "<channel type='unix'><source mode='bind' path='{private}/s'/><target type='virtio' name='a'/>"
               "</channel>",
    "connect": "<channel type='unix'><source mode='connect' path='/run/x'/><target type='virtio' name='a'/></channel>",
    "egd": "<rng model='virtio'><backend model='egd' type='unix'><source mode='connect' path='{private}/x'/></backend>"
           "</rng>",
    "rng": "<rng model='virtio'><backend model='random'>/dev/vda</backend></rng>",
    "9p": "<filesystem type='mount'><source dir='{private}'/><target dir='x'/></filesystem>",
    "virtiofs": "<filesystem type='mount'><driver type='virtiofs'/><source dir='{images}'/><target dir='x'/>"
                "</filesystem>",
    "virtiofs socket": "<filesystem type='mount'><driver type='virtiofs'/><source socket='{private}/x'/></filesystem>",
    "nvdimm": "<memory model='nvdimm'><source><path>{secret}</path></source><target><size unit='MiB'>128</size>"
              "<node>0</node></target></memory>",
    "shmem": "<shmem name='other'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
    "bridge": "<interface type='bridge'><source bridge='virbr0'/></interface>",
    "direct": "<interface type='direct'><source dev='eth0' mode='bridge'/></interface>",
    "script": "<interface type='ethernet'><script path='/tmp/x'/></interface>",
    "plain script": "<interface type='ethernet'><script path='x'/></interface>",
    "vhostuser net": "<interface type='vhostuser'><source type='unix' path='{private}/x' mode='client'/></interface>",
    "vdpa": "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>",
    "rom": "<interface type='user'><rom file='{secret}'/></interface>",
    "passt log": "<interface type='user'><backend type='passt' logFile='{private}/x'/></interface>",
    "pci": "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='2' function='0'/></source>"
           "</hostdev>",
    "usb": "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>",
    "evdev": "<input type='evdev'><source dev='/dev/input/event0'/></input>",
    "tpm device": "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
    "tpm folder": "<tpm model='tpm-tis'><backend type='emulator' version='2.0'><source type='dir' path='{private}/t'/>"
                  "</backend></tpm>",
    "vnc socket": "<graphics type='vnc' socket='{private}/v'/>",
    "spice gl": "<graphics type='spice'><listen type='none'/><gl enable='yes' rendernode='/dev/dri/renderD128'/>"
                "</graphics>",
    "sound": "<audio id='1' type='file' path='{private}/wav'/>",
    "pulse": "<audio id='1' type='pulseaudio' serverName='x'/>",
    "smart card": "<smartcard mode='host'/>",
    "secret of others": RAW.format("{images}/none", "vda", "raw", "<encryption format='luks'><secret type='passphrase' "
                                   "usage='theirs'/></encryption>"),
}  # fmt: skip
BOOT = {
    "kernel": ("</type>", "</type><kernel>{secret}</kernel>"),
    "loader": ("</type>", "</type><loader readonly='yes' type='pflash'>{secret}</loader>"),
    "template": ("</type>", "</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
                 "<nvram template='{secret}'>{images}/v.fd</nvram>"),
    "nvram": ("</type>", "</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
              "<nvram>{private}/v.fd</nvram>"),
    "fwcfg": ("<features>", "<sysinfo type='fwcfg'><entry name='opt/x/y' file='{secret}'/></sysinfo><features>"),
    "table": ("</type>", "</type><acpi><table type='slic'>{secret}</table></acpi>"),
    "emulator": ("qemu-system-x86_64", "python3"),
    "emulator by a link": ("/usr/bin/qemu-system-x86_64", "{images}/qemu-system-x86_64"),
    "partition": ("<features>", "<resource><partition>/other</partition></resource><features>"),
    "real time": ("<features>", "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='99'/></cputune><features>"),
    "io throttling of a device": ("<features>", "<blkiotune><device><path>/dev/vda</path><weight>100</weight></device>"
                                  "</blkiotune><features>"),
}  # fmt: skip
