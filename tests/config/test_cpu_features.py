"""Features of processors by name: those that are, and properties of QEMU's processor, which equal its command line."""

from __future__ import annotations

import pytest

from mechane.config import domain
from mechane.config.errors import XmlError

DOC = """<domain type='{kind}'><name>vm</name><memory>1024</memory><os><type>hvm</type></os>
<cpu mode='custom'><model>qemu64</model><feature policy='require' name='{name}'/></cpu></domain>"""


@pytest.mark.parametrize("name", ["aes", "sse4_1", "sse4.1", "vmx-ept", "kvm_pv_eoi", "ibrs-all", "invtsc", "avx512f"])
def test_a_feature_needs_no_permission(name: str) -> None:
    assert domain.check_define(DOC.format(kind="kvm", name=name))[1]["passthrough"] is False


@pytest.mark.parametrize("name", ["kvm", "hv-passthrough", "check", "x-force-features", "host-phys-bits", "zzinj"])
def test_any_other_property_is_passed_through(name: str) -> None:
    assert domain.check_define(DOC.format(kind="qemu", name=name))[1]["passthrough"] is True
    assert domain.check_define(DOC.format(kind="xen", name=name))[1]["passthrough"] is False


@pytest.mark.parametrize("name", ["aes=on,x", "aes=on", "on,,", "a b", "-aes", "+aes", "", "a\u00e9"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(XmlError) as caught:
        domain.check_define(DOC.format(kind="qemu", name=name))
    assert caught.value.details["path"] == "/domain/cpu/feature/@name"
