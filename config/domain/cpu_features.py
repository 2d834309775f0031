"""Names of features of x86 processors: what a definition may switch by name without any other permission.

QEMU takes the name of a feature for the name of a property of its processor, and most properties are no features
(`check`, `kvm`, `hv-passthrough`, …): whoever may set those passes options straight to the emulator.

Sources: `qemu-system-x86_64 -cpu help` of QEMU 7.2 and feature_word_info of later ones (target/i386/cpu.c), cpu_map of
libvirt 9.0 (x86_features.xml), QEMU's aliases.
"""

from __future__ import annotations

import re

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NAMES = """
3dnow 3dnowext 3dnowprefetch abm ace2 ace2-en acpi adx aes amd-no-ssb amd-psfd amd-ssbd amd-stibp amx-avx512 amx-bf16
amx-complex amx-fp16 amx-fp8 amx-int8 amx-movrs amx-tf32 amx-tile apic arat arch-capabilities arch-lbr auto-ibrs avic
avx avx-ifma avx-ne-convert avx-vnni avx-vnni-int16 avx-vnni-int8 avx10 avx10-128 avx10-256 avx10-512 avx2
avx512-4fmaps avx512-4vnniw avx512-bf16 avx512-fp16 avx512-vp2intersect avx512-vpopcntdq avx512bitalg avx512bw
avx512cd avx512dq avx512er avx512f avx512ifma avx512pf avx512vbmi avx512vbmi2 avx512vl avx512vnni bhi-ctrl bhi-no bmi1
bmi2 bus-lock-detect cid cldemote clflush clflushopt clwb clzero cmov cmp-legacy cmpccxadd cmt core-capability
cr8legacy cvt16 cx16 cx8 dca ddpd-u de decodeassists ds ds-cpl dtes64 eraps erms est extapic f16c fb-clear fbsdp-no
ffxsr flushbyasid fma fma4 fpu fred fsgsbase fsrc fsrm fsrs full-width-write fxsr fxsr-opt fzrm gds-no gfni hle ht
hypervisor i64 ia64 ibpb ibpb-brtype ibrs ibrs-all ibs intel-psfd intel-pt intel-pt-lip invpcid invtsc ipred-ctrl
its-no kvm-asyncpf kvm-asyncpf-int kvm-hint-dedicated kvm-mmu kvm-msi-ext-dest-id kvm-nopiodelay kvm-poll-control
kvm-pv-eoi kvm-pv-ipi kvm-pv-sched-yield kvm-pv-tlb-flush kvm-pv-unhalt kvm-steal-time kvmclock kvmclock-stable-bit
la57 lahf-lm lam lbrv lfence-always-serializing lkgs lm lwp mbm-local mbm-total mca mcdt-no mce md-clear mds-no
misalignsse mmx mmxext monitor movbe movdir64b movdiri movrs mpx msr mtrr no-nested-data-bp nodeid-msr npt nrip-save
null-sel-clr-base nx ospke osvw osxsave overflow-recov pae pat pause-filter pbe pbrsb-no pcid pclmuldq pclmulqdq
pcommit pconfig pdcm pdpe1gb perfctr-core perfctr-nb perfmon-v2 pfthreshold pge phe phe-en pks pku pmm pmm-en pn pni
popcnt prefetchi prefetchiti pschange-mc-no psdp-no pse pse36 rdctl-no rdpid rdrand rdseed rdtscp rfds-clear rfds-no
rrsba-ctrl rsba rtm sbdr-ssdp-no sbpb sep serialize sgx sgx-debug sgx-exinfo sgx-kss sgx-mode64 sgx-provisionkey
sgx-tokenkey sgx1 sgx2 sgxlc sha-ni sha512 skinit skip-l1dfl-vmentry sm3 sm4 smap smep smx spec-ctrl split-lock-detect
srso-no srso-user-kernel-no ss ssb-no ssbd sse sse2 sse3 sse4-1 sse4-2 sse4.1 sse4.2 sse4a ssse3 stibp stibp-always-on
succor svm svm-lock svme-addr-chk syscall taa-no tbm tce tm tm2 topoext tsa-l1-no tsa-sq-no tsc tsc-adjust
tsc-deadline tsc-scale tsx-ctrl tsx-ldtrk umip v-vmsave-vmload vaes verw-clear vgif virt-ssbd vmcb-clean vme vmx
vmx-activity-hlt vmx-activity-shutdown vmx-activity-wait-sipi vmx-apicv-register vmx-apicv-vid vmx-apicv-x2apic
vmx-apicv-xapic vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-cr8-load-exit vmx-cr8-store-exit vmx-desc-exit
vmx-enable-user-wait-pause vmx-encls-exit vmx-entry-ia32e-mode vmx-entry-load-bndcfgs vmx-entry-load-efer
vmx-entry-load-fred vmx-entry-load-pat vmx-entry-load-perf-global-ctrl vmx-entry-load-pkrs vmx-entry-load-rtit-ctl
vmx-entry-noload-debugctl vmx-ept vmx-ept-1gb vmx-ept-2mb vmx-ept-advanced-exitinfo vmx-ept-execonly vmx-eptad
vmx-eptp-switching vmx-exit-ack-intr vmx-exit-clear-bndcfgs vmx-exit-clear-rtit-ctl vmx-exit-load-bndcfgs
vmx-exit-load-efer vmx-exit-load-pat vmx-exit-load-perf-global-ctrl vmx-exit-load-pkrs vmx-exit-nosave-debugctl
vmx-exit-save-efer vmx-exit-save-pat vmx-exit-save-preemption-timer vmx-exit-secondary-ctls vmx-flexpriority
vmx-hlt-exit vmx-ins-outs vmx-intr-exit vmx-invept vmx-invept-all-context vmx-invept-single-context
vmx-invept-single-context-noglobals vmx-invlpg-exit vmx-invpcid-exit vmx-invvpid vmx-invvpid-all-context
vmx-invvpid-single-addr vmx-io-bitmap vmx-io-exit vmx-monitor-exit vmx-movdr-exit vmx-msr-bitmap vmx-mtf
vmx-mwait-exit vmx-nested-exception vmx-nmi-exit vmx-page-walk-4 vmx-page-walk-5 vmx-pause-exit vmx-ple vmx-pml
vmx-posted-intr vmx-preemption-timer vmx-rdpmc-exit vmx-rdrand-exit vmx-rdseed-exit vmx-rdtsc-exit vmx-rdtscp-exit
vmx-secondary-ctls vmx-shadow-vmcs vmx-store-lma vmx-true-ctls vmx-tsc-offset vmx-tsc-scaling vmx-unrestricted-guest
vmx-vintr-pending vmx-vmfunc vmx-vmwrite-vmexit-fields vmx-vnmi vmx-vnmi-pending vmx-vpid vmx-wbinvd-exit vmx-xsaves
vmx-zero-len-inject vnmi vpclmulqdq waitpkg wbnoinvd wdt wrmsrns x2apic x2avic xcrypt xcrypt-en xd xfd xgetbv1 xop
xsave xsavec xsaveerptr xsaveopt xsaves xstore xstore-en xtpr zero-fcs-fds
"""
_KNOWN = frozenset(_NAMES.split())


def is_feature_name(name: str) -> bool:
    """Tell whether `name` is written as names of features are, of any architecture."""
    return _PATTERN.fullmatch(name) is not None


def is_feature(name: str) -> bool:
    """Tell whether `name` is a feature of x86 processors; `_` and `-` are one."""
    return name.replace("_", "-") in _KNOWN
