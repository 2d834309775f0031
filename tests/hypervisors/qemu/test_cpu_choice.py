"""Comparison and choice of processors, over generated tables of models."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import XmlError
from mechane.hypervisors.qemu.cpu.choosing import closest, common
from mechane.hypervisors.qemu.cpu.comparing import IDENTICAL, INCOMPATIBLE, SUPERSET, compare
from mechane.hypervisors.qemu.cpu.description import CpuDescription, cpu_xml, read_descriptions
from mechane.hypervisors.qemu.cpu.host import HostCpu, read_host_cpu
from mechane.hypervisors.qemu.cpu.models import Processor, ProcessorModel, ProcessorTable
from mechane.hypervisors.qemu.cpu.names import canonical, shown

FEATURES = ("avx", "avx2", "fma", "lahf-lm", "nx", "pclmulqdq", "sse4.1", "svm")
VENDORS = ("GenuineIntel", "AuthenticAMD")
SETS = st.frozensets(st.sampled_from(FEATURES))
POLICIES = st.dictionaries(
    st.sampled_from(FEATURES), st.sampled_from(("force", "require", "optional", "disable", "forbid"))
)


@st.composite
def tables(draw: st.DrawFn) -> ProcessorTable:
    """Give a table of a few models, whose accelerator offers some set."""
    models = tuple(
        ProcessorModel(name=f"M{number}", vendor=draw(st.sampled_from(VENDORS)), features=draw(SETS))
        for number in range(draw(st.integers(1, 5)))
    )
    return ProcessorTable(
        accel="kvm", models=models, known=frozenset(FEATURES),
        offer=Processor(vendor=draw(st.sampled_from(VENDORS)), features=draw(SETS)),
    )  # fmt: skip


def described(table: ProcessorTable, number: int, policies: Mapping[str, str], vendor: str = "") -> CpuDescription:
    """Return a description by a model of the table."""
    name = table.models[number % len(table.models)].name
    return CpuDescription(path="cpu", model=name, vendor=vendor, policies=policies)


def choose(items: list[CpuDescription], table: ProcessorTable) -> tuple[frozenset[str], CpuDescription]:
    """Return a baseline's features, and the baseline read back from its XML."""
    choice = closest(common([item.processor(table) for item in items], migratable=False), table,
                     [item.model for item in items])  # fmt: skip
    (read,) = read_descriptions([cpu_xml(choice.model.name, choice.vendor, choice.policies)], "xml")
    (spelt,) = read_descriptions([cpu_xml(choice.model.name, choice.vendor, choice.expanded)], "xml")
    assert spelt.processor(table) == read.processor(table)
    return read.processor(table).features, read


@given(tables(), st.integers(0, 4), POLICIES)
def test_the_baseline_of_one_is_itself(table: ProcessorTable, number: int, policies: dict[str, str]) -> None:
    one = described(table, number, policies)
    features, read = choose([one], table)
    assert features == one.processor(table).features
    if not policies:
        assert read.model == one.model and not read.policies


@given(tables(), st.lists(st.tuples(st.integers(0, 4), POLICIES), min_size=1, max_size=4))
def test_a_baseline_is_in_each_and_misses_nothing(
    table: ProcessorTable, items: list[tuple[int, dict[str, str]]]
) -> None:
    wanted = [described(table, number, policies) for number, policies in items]
    features, _ = choose(wanted, table)
    sets = [item.processor(table).features for item in wanted]
    assert all(features <= one for one in sets)
    assert features == frozenset.intersection(*sets)


@given(tables())
def test_host_model_is_all_that_is_offered(table: ProcessorTable) -> None:
    choice = closest(table.offer, table)
    cpu = described(table, int(choice.model.name[1:]), choice.policies, table.offer.vendor)
    assert cpu.processor(table).features == table.offer.features
    assert compare(cpu, table.offer, table).result == IDENTICAL
    own = [model for model in table.models if model.vendor == table.offer.vendor]
    assert not own or choice.model in own


@given(tables(), st.integers(0, 4), st.integers(0, 4))
def test_comparison_is_antisymmetric(table: ProcessorTable, one: int, other: int) -> None:
    first, second = described(table, one, {}), described(table, other, {})
    there = compare(first, second.processor(table), table).result
    back = compare(second, first.processor(table), table).result
    assert {IDENTICAL: back == IDENTICAL, SUPERSET: back == INCOMPATIBLE,
            INCOMPATIBLE: back in (SUPERSET, INCOMPATIBLE)}[there]  # fmt: skip


@given(tables(), st.integers(0, 4), POLICIES)
def test_what_compares_well_can_be_had(table: ProcessorTable, number: int, policies: dict[str, str]) -> None:
    cpu = described(table, number, policies)
    found = compare(cpu, table.offer, table)
    hard = cpu.model_features(table) - policies.keys() | {name for name, how in policies.items() if how == "require"}
    assert (found.result == INCOMPATIBLE) == bool(
        hard - table.offer.features
        or {name for name, how in policies.items() if how == "forbid"} & table.offer.features
    )
    assert (found.result == INCOMPATIBLE) == bool(found.reason)


PIECES = st.lists(st.sampled_from((
    "<cpu>", "</cpu>", "<cpu mode='custom'>", "<model>EPYC</model>", "<model/>", "<vendor>AMD</vendor>",
    "<vendor>x</vendor>", "<feature name='avx'/>", "<feature policy='forbid' name='svm'/>", "<feature/>", "<domain>",
    "</domain>", "<host>", "</host>", "<capabilities>", "</capabilities>", "<?xml version='1.0'?>", "<!DOCTYPE a>",
    "&amp;", "text", "<!-- c -->",
)), max_size=12).map("".join)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=30)), max_size=3))
def test_documents_are_read_or_refused_with_their_place(documents: list[str]) -> None:
    try:
        found = read_descriptions(documents, "params.documents")
    except XmlError as error:
        assert error.details["path"]
        return
    assert len(found) >= len(documents)
    assert all(item.model and item.path.startswith("params.documents") for item in found)


def test_names_go_both_ways() -> None:
    for name in FEATURES:
        assert canonical(shown(name)) == name
    assert canonical("sse4_1") == "sse4.1" and canonical("lahf_lm") == "lahf-lm" and shown("lahf-lm") == "lahf_lm"


def test_the_kernels_flags_become_features() -> None:
    known = frozenset({"sse4.1", "spec-ctrl", "ibpb", "invtsc", "pni", "avx512vnni", "ds"})
    flags = frozenset(["sse4_1", "ibpb", "nonstop_tsc", "pni", "avx512_vnni", "dts", "rep_good"])
    intel = HostCpu(vendor="GenuineIntel", flags=flags).processor(known)
    assert intel.features == {"sse4.1", "spec-ctrl", "invtsc", "pni", "avx512vnni", "ds"}
    assert "ibpb" in HostCpu(vendor="AuthenticAMD", flags=flags).processor(known).features


def test_this_host_says_what_it_is() -> None:
    host = read_host_cpu()
    assert not host.vendor or {"fpu", "lm"} <= host.flags
