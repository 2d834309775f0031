"""-cpu and -smp."""

from __future__ import annotations

from ....config.domain.clock import Timer
from ....config.domain.cpu import Cpu, CpuCache, CpuFeature, MaxPhysAddr, Topology
from ....config.domain.features import Apic, FeatureState, Hyperv, Kvm, Spinlocks, Stimer, VendorId
from ....config.domain.panic import Panic
from ....config.domain.vcpu import VcpuState, VcpuStates
from ..argv.cpu import HYPERV, KVM
from .machine import processor
from .reading import Reading
from .values import OFF, ON, Props

HOST_MODELS = {"host": "host-passthrough", "max": "maximum"}
FROM_HYPERV = {option: name for name, option in HYPERV.items()}
FROM_KVM = {option: name for name, option in KVM.items()}
MOST = 8192
"""More processors than any machine of QEMU has."""
FLAG_KINDS = {"pmu", "kvm-pv-unhalt", "kvm-pv-eoi"}


def read_processor(reading: Reading) -> None:
    """Read model, features and topology."""
    for option in reading.each("cpu"):
        props = Props("cpu", [], option.place, option.words)
        model, *rest = option.value.split(",")
        for word in rest:
            name, equals, value = word.partition("=")
            if not equals and name[:1] in ("+", "-"):
                name, value = name[1:], "on" if name[0] == "+" else "off"
            props.pairs.append((name.replace("_", "-"), value if equals or value else "on"))
        _read_cpu(reading, model, props)
    _read_smp(reading)


def _read_cpu(reading: Reading, model: str, props: Props) -> None:
    cpu = reading.domain.cpu = Cpu()
    if model in HOST_MODELS:
        cpu.mode = HOST_MODELS[model]
        cpu.migratable = props.flag("migratable")
    else:
        cpu.mode, cpu.match = "custom", "exact"
        cpu.check = "none"
        cpu.model.name = model
        cpu.model.vendor_id = props.take("vendor")
    _read_clocks(reading, props)
    _read_hyperv(reading, props)
    _read_kvm(reading, props)
    _read_limits(cpu, props)
    features, left = {}, []
    for name, value in props.pairs:
        if value.lower() in ON or value.lower() in OFF:
            features[name] = "require" if value.lower() in ON else "disable"
        else:
            left.append((name, value))
    cpu.features = [CpuFeature(policy=policy, name=name) for name, policy in features.items() if name]
    for name, value in left:
        kind = f"{model}-{reading.emulator_arch}-cpu"
        reading.keep(("-global", f"{kind}.{name}={value}"), props.place)


def _read_clocks(reading: Reading, props: Props) -> None:
    timers = reading.domain.clock.timers
    clock = props.flag("kvmclock")
    if clock is not None:
        timers.append(Timer(name="kvmclock", present=clock))
    if props.flag("hv-time"):
        timers.append(Timer(name="hypervclock", present=True))
    frequency = props.number("tsc-frequency")
    if frequency:
        timers.append(Timer(name="tsc", frequency=frequency))


def _read_hyperv(reading: Reading, props: Props) -> None:
    domain = reading.domain
    if props.flag("hv-crash"):
        domain.devices.panics.append(Panic(model="hyperv"))
    found = Hyperv()
    count = 0
    for option, name in FROM_HYPERV.items():
        state = props.flag(option)
        if state is not None:
            count += 1
            setattr(found, name, Stimer(state=state) if name == "stimer" else FeatureState(state=state))
    if props.flag("hv-stimer-direct") and found.stimer is not None:
        found.stimer.direct = FeatureState(state=True)
    retries = props.number("hv-spinlocks")
    if retries is not None:
        found.spinlocks = Spinlocks(state=True, retries=retries)
    vendor = props.take("hv-vendor-id")
    if vendor is not None:
        found.vendor_id = VendorId(state=True, value=vendor)
    passthrough = props.flag("hv-passthrough")
    if passthrough:
        found.mode = "passthrough"
    if count or retries is not None or vendor is not None or passthrough:
        domain.features.hyperv = found


def _read_kvm(reading: Reading, props: Props) -> None:
    features = reading.domain.features
    found = features.kvm or Kvm()
    count = 0
    for option, name in FROM_KVM.items():
        state = props.flag(option)
        if state is not None:
            count += 1
            setattr(found, name, FeatureState(state=state))
    if props.flag("kvm") is False:
        found.hidden = FeatureState(state=True)
        count += 1
    if count:
        features.kvm = found
    eoi = props.flag("kvm-pv-eoi")
    if eoi is not None:
        features.apic = Apic(eoi=eoi)
    unhalt = props.flag("kvm-pv-unhalt")
    if unhalt is not None:
        features.pvspinlock = FeatureState(state=unhalt)
    pmu = props.flag("pmu")
    if pmu is not None:
        features.pmu = FeatureState(state=pmu)


def _read_limits(cpu: Cpu, props: Props) -> None:
    host, level3 = props.flag("host-cache-info"), props.flag("l3-cache")
    if host:
        cpu.cache = CpuCache(mode="passthrough")
    elif level3:
        cpu.cache = CpuCache(level=3, mode="emulate")
    elif host is False and level3 is False:
        cpu.cache = CpuCache(mode="disable")
    else:
        props.pairs += [(name, "off") for name, state in (("host-cache-info", host), ("l3-cache", level3))
                        if state is False]  # fmt: skip
    if props.flag("host-phys-bits"):
        cpu.maxphysaddr = MaxPhysAddr(mode="passthrough", limit=props.number("host-phys-bits-limit"))
    else:
        bits = props.number("phys-bits")
        if bits:
            cpu.maxphysaddr = MaxPhysAddr(mode="emulate", bits=bits)


def _read_smp(reading: Reading) -> None:
    props = Props("smp", [])
    for option in reading.each("smp"):
        given = reading.props(option, "cpus")
        props.pairs += given.pairs
    count, maximum = props.number("cpus"), props.number("maxcpus")
    parts = {name: props.number(name) for name in ("sockets", "dies", "clusters", "cores", "threads")}
    for name, value in (("cpus", count), ("maxcpus", maximum), *parts.items()):
        if value is not None and not 0 <= value <= MOST:
            raise props.refuse(name, f"{value} is no number of processors")
    product = 1
    for value in parts.values():
        product *= value or 1
    whole = maximum or count or product
    vcpu = reading.domain.vcpu
    vcpu.placement, vcpu.maximum = "static", whole
    if count and count != whole:
        vcpu.current = count
    if parts["cores"] or parts["threads"] or parts["dies"] or (parts["sockets"] or whole) != whole:
        _set_topology(reading, parts, whole, product)
    reading.left(props, "a number of processors")
    _read_plugged(reading)


def _set_topology(reading: Reading, parts: dict[str, int | None], whole: int, product: int) -> None:
    """Set the topology; what is left out follows as in QEMU 6.2 and later: sockets last, cores first."""
    sockets, cores, threads = parts["sockets"], parts["cores"], parts["threads"] or 1
    dies = parts["dies"] or 1
    if product != whole:
        if cores is None:
            cores = max(1, whole // ((sockets or 1) * dies * threads))
        elif sockets is None:
            sockets = max(1, whole // (dies * cores * threads))
    if (sockets or 1, cores or 1, threads, dies) == (whole, 1, 1, 1):
        return  # what a definition without a topology has
    topology = Topology(sockets=sockets or 1, cores=cores or 1, threads=threads)
    if parts["dies"]:
        topology.dies = dies
    processor(reading).topology = topology


def _read_plugged(reading: Reading) -> None:
    """Read processors that are plugged in from the start (-device MODEL-x86_64-cpu)."""
    vcpu = reading.domain.vcpu
    plugged: list[int] = []
    for props in list(reading.devices):
        if not props.peek("driver").endswith("-x86_64-cpu"):
            continue
        tail = props.peek("id").removeprefix("vcpu")
        if not tail.isdigit() or len(tail) > 4:
            continue
        plugged.append(int(tail))
        reading.devices.remove(props)
    if not plugged:
        return
    fixed = vcpu.current or vcpu.maximum or 1
    states = VcpuStates()
    for number in range(min(vcpu.maximum or 1, MOST)):
        there = number < fixed or number in plugged
        states.vcpus.append(VcpuState(
            id=number, enabled=there, hotpluggable=number >= fixed,
            order=None if not there else number + 1 if number < fixed else fixed + 1 + plugged.index(number),
        ))  # fmt: skip
    reading.domain.vcpus = states
    vcpu.current = fixed + len(plugged)
