"""Every call against a real node with the in-memory hypervisor: what people see of it."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mechane.protocol.catalogue import load
from mechane.tests.support.node import NodeProcess, running_node
from mechane.tests.support.rpc import Rpc, RpcError
from mechane.tests.support.wait import wait_until


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProcess]:
    """Give one node for the whole module."""
    with running_node() as running:
        yield running


@pytest.fixture
def rpc(node: NodeProcess) -> Iterator[Rpc]:
    """Give a fresh client."""
    with node.connect() as client:
        yield client


def xml(name: str, **more: str) -> str:
    identity = f"<uuid>{more['uuid']}</uuid>" if "uuid" in more else ""
    return (
        f"<domain type='test'><name>{name}</name>{identity}<title>{more.get('title', '')}</title>"
        "<memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type>hvm</type></os>"
        "<devices><graphics type='vnc' port='-1' passwd='s3cret'/><console type='pty'/></devices></domain>"
    ).replace("<title></title>", "")


@pytest.fixture
def domain(rpc: Rpc) -> Iterator[str]:
    """Give the UUID of a defined domain that is gone afterwards."""
    made = rpc.call("domain.define_xml", xml=xml(f"d{uuid.uuid4().hex[:8]}"))["uuid"]
    yield made
    for call in ("domain.destroy", "domain.undefine"):
        try:
            rpc.call(call, domain=made)
        except RpcError as error:
            assert error.code in ("no_domain", "operation_invalid"), error


def code_of(rpc: Rpc, method: str, **args: Any) -> str:
    with pytest.raises(RpcError) as refused:
        rpc.call(method, **args)
    assert refused.value.error["message"]
    return refused.value.code


def test_the_life_of_a_domain(rpc: Rpc, domain: str) -> None:
    made = rpc.call("domain.lookup", domain=domain)
    assert {"uuid", "name", "node", "connection", "state", "reason", "id"} <= made.keys()
    assert (made["state"], made["id"], made["persistent"]) == ("shutoff", None, True)
    started = rpc.call("domain.start", domain=domain)
    assert (started["state"], started["reason"]) == ("running", "booted")
    assert rpc.call("domain.lookup_by_id", id=started["id"])["uuid"] == domain
    assert rpc.call("domain.lookup_by_name", name=made["name"])["uuid"] == domain
    assert rpc.call("domain.lookup_by_uuid", uuid=domain.upper())["uuid"] == domain
    assert rpc.call("domain.suspend", domain=domain)["state"] == "paused"
    assert rpc.call("domain.suspend", domain=domain)["state"] == "paused"
    assert rpc.call("domain.resume", domain=domain)["state"] == "running"
    info = rpc.call("domain.get_info", domain=domain)
    assert (info["max_memory_kib"], info["memory_kib"], info["vcpus"]) == (65536, 65536, 2)
    assert info["cpu_time_ns"] >= 0
    assert rpc.call("domain.reset", domain=domain)["state"] == "running"
    assert rpc.call("domain.reboot", domain=domain)["uuid"] == domain
    rpc.call("domain.shutdown", domain=domain)
    waited = rpc.call("domain.wait", domain=domain, states=["shutoff"], deadline_s=10)
    assert waited["reason"] == "shutdown"
    assert rpc.call("domain.start", domain=domain, paused=True)["state"] == "paused"
    destroyed = rpc.call("domain.destroy", domain=domain, grace_s=0)
    assert (destroyed["state"], destroyed["reason"], destroyed["id"]) == ("shutoff", "destroyed", None)
    assert rpc.call("domain.undefine", domain=domain)["persistent"] is False
    assert code_of(rpc, "domain.get_state", domain=domain) == "no_domain"


def test_what_is_not_legal_is_refused_with_the_state(rpc: Rpc, domain: str) -> None:
    for call in ("suspend", "resume", "shutdown", "reboot", "reset", "destroy", "open_console"):
        assert code_of(rpc, f"domain.{call}", domain=domain) == "operation_invalid", call
    rpc.call("domain.start", domain=domain)
    assert code_of(rpc, "domain.start", domain=domain) == "operation_invalid"
    assert code_of(rpc, "domain.resume", domain=domain) == "operation_invalid"
    assert code_of(rpc, "domain.rename", domain=domain, new_name="other") == "operation_invalid"
    assert code_of(rpc, "domain.abort_job", domain=domain) == "no_job"


def test_definitions_change_and_keep_their_identity(rpc: Rpc, domain: str) -> None:
    name = rpc.call("domain.lookup", domain=domain)["name"]
    again = rpc.call("domain.define_xml", xml=xml(name, uuid=domain, title="second"))
    assert (again["uuid"], again["title"]) == (domain, "second")
    assert code_of(rpc, "domain.define_xml", xml=xml(name)) == "domain_exists"
    assert code_of(rpc, "domain.define_xml", xml=xml("other-name", uuid=domain)) == "domain_exists"
    assert rpc.call("domain.rename", domain=domain, new_name=f"{name}-new")["name"] == f"{name}-new"
    assert code_of(rpc, "domain.lookup", domain=name) == "no_domain"
    assert f"<name>{name}-new</name>" in rpc.call("domain.get_xml", domain=domain)
    rpc.call("domain.rename", domain=domain, new_name=name)


def test_secrets_show_only_when_asked_for(rpc: Rpc, node: NodeProcess, domain: str) -> None:
    assert "s3cret" not in rpc.call("domain.get_xml", domain=domain)
    assert "s3cret" in rpc.call("domain.get_xml", domain=domain, secure=True)
    with node.connect(read_only=True) as reader:
        assert "s3cret" not in reader.call("domain.get_xml", domain=domain)
        assert code_of(reader, "domain.get_xml", domain=domain, secure=True) == "permission_denied"


def test_title_description_and_metadata(rpc: Rpc, domain: str) -> None:
    for kind in ("title", "description"):
        rpc.call("domain.set_metadata", domain=domain, type=kind, value=f"a {kind}")
        assert rpc.call("domain.get_metadata", domain=domain, type=kind) == f"a {kind}"
    assert rpc.call("domain.lookup", domain=domain)["title"] == "a title"
    uri = "https://example.org/app/1"
    assert code_of(rpc, "domain.get_metadata", domain=domain, uri=uri) == "no_metadata"
    rpc.call("domain.set_metadata", domain=domain, type="element", value="<app>x</app>", uri=uri, key="app")
    assert "x</app>" in rpc.call("domain.get_metadata", domain=domain, uri=uri)
    assert code_of(rpc, "domain.set_metadata", domain=domain, type="element", value="<a/>") == "invalid_argument"
    rpc.call("domain.set_metadata", domain=domain, type="title", value=None)
    assert rpc.call("domain.get_metadata", domain=domain, type="title") == ""


def test_autostart_is_kept(rpc: Rpc, domain: str) -> None:
    assert rpc.call("domain.get_autostart", domain=domain) is False
    assert rpc.call("domain.set_autostart", domain=domain, autostart=True)["autostart"] is True
    assert rpc.call("domain.get_autostart", domain=domain) is True
    assert domain in [d["uuid"] for d in rpc.call("domain.list", autostart=True)]


def test_lists_filter_and_page(rpc: Rpc) -> None:
    made = [rpc.call("domain.define_xml", xml=xml(f"page-{n:02}"))["uuid"] for n in range(12)]
    rpc.call("domain.start", domain=made[0])
    names = sorted(d["name"] for d in rpc.call("domain.list", pattern="page-*"))
    assert names == [f"page-{n:02}" for n in range(12)]
    running = rpc.call("domain.list", pattern="page-*", active=True)
    assert [d["uuid"] for d in running] == [made[0]]
    assert rpc.call("domain.list", pattern="page-*", states=["running"]) == running
    assert rpc.call("domain.list", connection="test:///default", pattern="page-*", persistent=False) == []
    seen: list[str] = []
    after = None
    while page := rpc.call("domain.list", limit=5, after=after):
        seen += [d["uuid"] for d in page]
        after = page[-1]["uuid"]
    assert seen == sorted(seen)
    assert set(made) <= set(seen)
    assert code_of(rpc, "domain.list", states=["flying"]) == "invalid_argument"
    assert code_of(rpc, "domain.list", limit=0) == "invalid_argument"
    assert code_of(rpc, "domain.list", connection="qemu:///nowhere") == "no_connection"
    rpc.call("domain.destroy", domain=made[0])
    for one in made:
        rpc.call("domain.undefine", domain=one)


def test_a_transient_domain_is_gone_when_it_stops(rpc: Rpc) -> None:
    made = rpc.call("domain.create_xml", xml=xml("passing"))
    assert (made["state"], made["persistent"]) == ("running", False)
    assert "<name>passing</name>" in rpc.call("domain.get_xml", domain="passing")
    assert code_of(rpc, "domain.undefine", domain="passing") == "operation_invalid"
    rpc.call("domain.destroy", domain="passing")
    assert code_of(rpc, "domain.get_state", domain="passing") == "no_domain"
    again = rpc.call("domain.create_xml", xml=xml("passing", uuid=made["uuid"]), paused=True)
    assert again["state"] == "paused"
    rpc.call("domain.destroy", domain="passing")


def test_the_name_of_a_destroyed_transient_domain_is_free_at_once(rpc: Rpc) -> None:
    for index in range(60):
        assert rpc.call("domain.create_xml" if index % 3 else "domain.define_xml", xml=xml("brief"))["name"] == "brief"
        rpc.call("domain.destroy" if index % 3 else "domain.undefine", domain="brief")


def test_undefining_a_running_domain_makes_it_transient(rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    assert rpc.call("domain.undefine", domain=domain)["persistent"] is False
    assert rpc.call("domain.get_state", domain=domain)["state"] == "running"
    name = rpc.call("domain.lookup", domain=domain)["name"]
    assert f"<name>{name}</name>" in rpc.call("domain.get_xml", domain=domain)
    assert rpc.call("domain.define_xml", xml=xml(name, uuid=domain))["persistent"] is True
    rpc.call("domain.undefine", domain=domain)
    rpc.call("domain.destroy", domain=domain)
    wait_until(lambda: domain not in [d["uuid"] for d in rpc.call("domain.list")], 5)


def test_autodestroy_ends_the_guest_with_its_client(node: NodeProcess, rpc: Rpc, domain: str) -> None:
    with node.connect() as other:
        other.call("domain.start", domain=domain, autodestroy=True)
        assert rpc.call("domain.get_state", domain=domain)["state"] == "running"
    assert rpc.call("domain.wait", domain=domain, states=["shutoff"], deadline_s=10)["reason"] == "destroyed"


def test_statistics_of_one_and_many(rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    one = rpc.call("domain.get_stats", domain=domain, groups=["state", "cpu"])
    assert one["stats"]["state.state"] == 1
    assert not any(key.startswith("balloon.") for key in one["stats"])
    many = {entry["uuid"]: entry for entry in rpc.call("domain.list_stats")}
    assert {"cpu.time", "balloon.current", "vcpu.current"} <= many[domain]["stats"].keys()
    assert code_of(rpc, "domain.get_stats", domain=domain, groups=["weather"]) == "invalid_argument"


def test_a_console_is_a_stream_of_one_client(node: NodeProcess, rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    opened = rpc.call("domain.open_console", domain=domain)
    assert opened["credit"] > 0
    rpc.notify("stream.data", stream=opened["stream"], data=b"\n")
    data = rpc.notification("stream.data", 10)
    assert data["stream"] == opened["stream"]
    assert data["data"]
    with node.connect() as other:
        assert code_of(other, "domain.open_console", domain=domain) == "operation_invalid"
        taken = other.call("domain.open_console", domain=domain, force=True)
        closed = rpc.notification("stream.close", 10)
        assert closed["stream"] == opened["stream"]
        other.notify("stream.close", stream=taken["stream"])
        other.notification("stream.close", 10)
    assert rpc.call("domain.open_console", domain=domain, force=True)["device"] == opened["device"]


def test_monitor_commands_pass_through(rpc: Rpc, node: NodeProcess, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    answer = rpc.call("domain.monitor_command", domain=domain, command=json.dumps({"execute": "query-status"}))
    assert answer["status"] == "running"
    assert code_of(rpc, "domain.monitor_command", domain=domain, command="{") == "invalid_argument"
    assert code_of(rpc, "domain.monitor_command", domain=domain, command="[" * 100_000) == "invalid_argument"
    with node.connect(read_only=True) as reader:
        command = json.dumps({"execute": "query-status"})
        assert code_of(reader, "domain.monitor_command", domain=domain, command=command) == "permission_denied"


def test_a_running_call_is_cancelled_by_its_client(rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    hang = {"execute": "test-hang", "arguments": {"verb": "stats"}}
    rpc.call("domain.monitor_command", domain=domain, command=json.dumps(hang))
    number = rpc.send("domain.get_stats", domain=domain, deadline_s=60)
    wait_until(lambda: rpc.call("domain.get_job_info", domain=domain)["type"] != "none", 5)
    assert rpc.call("domain.get_control_info", domain=domain)["holder"]["verb"] == "domain.get_stats"
    rpc.notify("cancel", msgid=number)
    with pytest.raises(RpcError) as cancelled:
        rpc.answer(number, 10)
    assert cancelled.value.code == "cancelled"
    wait_until(lambda: rpc.call("domain.get_job_info", domain=domain)["type"] == "none", 5)
    second = rpc.send("domain.get_stats", domain=domain, deadline_s=60)
    wait_until(lambda: rpc.call("domain.get_job_info", domain=domain)["type"] != "none", 5)
    assert rpc.call("domain.abort_job", domain=domain)["aborted"] == "domain.get_stats"
    with pytest.raises(RpcError) as aborted:
        rpc.answer(second, 10)
    assert aborted.value.code == "cancelled"


def test_calls_that_wait_expire_and_say_what_holds_the_domain(rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    hang = {"execute": "test-hang", "arguments": {"verb": "stats"}}
    rpc.call("domain.monitor_command", domain=domain, command=json.dumps(hang))
    running = rpc.send("domain.get_stats", domain=domain, deadline_s=3)
    wait_until(lambda: rpc.call("domain.get_job_info", domain=domain)["type"] != "none", 5)
    assert code_of(rpc, "domain.suspend", domain=domain, deadline_s=0.2) == "deadline_exceeded"
    waiting = rpc.send("domain.suspend", domain=domain, deadline_s=0.2)
    with pytest.raises(RpcError) as expired:
        rpc.answer(waiting, 10)
    assert expired.value.error["details"]["holder"]["verb"] == "domain.get_stats"
    assert expired.value.error["details"]["still_running"] is False
    with pytest.raises(RpcError) as overdue:
        rpc.answer(running, 10)
    assert overdue.value.code == "deadline_exceeded"
    assert overdue.value.error["details"]["still_running"] is True


def test_a_full_mailbox_is_busy_at_once(rpc: Rpc, domain: str) -> None:
    rpc.call("domain.start", domain=domain)
    hang = {"execute": "test-hang", "arguments": {"verb": "stats"}}
    rpc.call("domain.monitor_command", domain=domain, command=json.dumps(hang))
    numbers = [rpc.send("domain.get_stats", domain=domain, deadline_s=30) for _ in range(80)]
    wait_until(lambda: rpc.call("session.ping") == "" and len(rpc.answered()) >= 15, 10)
    codes = []
    for number in sorted(rpc.answered()):
        with pytest.raises(RpcError) as refused:
            rpc.answer(number)
        codes.append(refused.value.code)
        assert refused.value.error["details"]["what"] == "mailbox"
    assert set(codes) == {"busy"}
    assert rpc.call("domain.destroy", domain=domain, grace_s=0)["state"] == "shutoff"
    assert len(numbers) == 80
    wait_until(lambda: rpc.call("domain.get_control_info", domain=domain)["queued"] == 0, 10)


def test_waiting_for_what_will_never_come(rpc: Rpc, node: NodeProcess, domain: str) -> None:
    assert code_of(rpc, "domain.wait", domain=domain, states=["running"], deadline_s=0.1) == "deadline_exceeded"
    assert code_of(rpc, "domain.wait", domain=domain, states=["soaring"]) == "invalid_argument"
    number = rpc.send("domain.wait", domain=domain, states=["undefined"], deadline_s=10)
    other = rpc.send("domain.wait", domain=domain, states=["running"], deadline_s=10)
    rpc.call("domain.undefine", domain=domain)
    assert rpc.answer(number)["uuid"] == domain
    with pytest.raises(RpcError) as gone:
        rpc.answer(other)
    assert gone.value.code == "no_domain"


def test_administration(rpc: Rpc, node: NodeProcess) -> None:
    me = rpc.call("session.hello", client="test 1")
    clients = {client["id"]: client for client in rpc.call("node.list_clients")}
    assert clients[me["client"]]["name"] == "test 1"
    with node.connect() as other:
        them = other.call("session.hello")["client"]
        assert rpc.call("node.get_client", client=them)["id"] == them
        rpc.call("node.disconnect_client", client=them)
        wait_until(lambda: them not in [c["id"] for c in rpc.call("node.list_clients")], 5)
    assert code_of(rpc, "node.get_client", client=them) == "no_client"
    assert rpc.call("node.set_workers", prio_workers=3, max_workers=9)["prio_workers"] == 3
    wait_until(lambda: rpc.call("node.get_workers")["prio_present"] == 3, 5)
    assert code_of(rpc, "node.set_workers", min_workers=50, max_workers=2) == "invalid_argument"
    rpc.call("node.set_workers", prio_workers=5, max_workers=20)
    assert rpc.call("node.set_limits", limits={"mailbox_length": 65})["mailbox_length"] == 65
    assert code_of(rpc, "node.set_limits", limits={"mailbox_lenght": 65}) == "invalid_argument"
    rpc.call("node.set_limits", limits={"mailbox_length": 64})
    assert rpc.call("node.set_log_level", level="debug") == {"level": "debug"}
    assert rpc.call("node.get_log_level") == {"level": "debug"}
    rpc.call("node.set_log_level", level="info")
    assert rpc.call("node.get_health")["ready"] is True
    assert rpc.call("node.get_info")["cpus"] >= 1


def test_connections_describe_themselves(rpc: Rpc) -> None:
    (connection,) = rpc.call("connection.list")
    assert rpc.call("connection.get_info") == rpc.call("connection.get_info", connection=connection["uri"])
    assert (connection["kind"], connection["state"]) == ("test", "open")
    assert "<capabilities>" in rpc.call("connection.get_capabilities")["xml"]
    assert "<domainCapabilities>" in rpc.call("connection.get_domain_capabilities")["xml"]


def test_bad_xml_says_where_and_stores_nothing(rpc: Rpc) -> None:
    before = rpc.call("domain.list")
    for bad in (
        "<domain type='test'><name>x</name><memory>lots</memory></domain>",
        "<!DOCTYPE d [<!ENTITY a 'b'>]><domain type='test'><name>&a;</name></domain>",
        "<domain type='test'>" + "<a>" * 500 + "</a>" * 500 + "</domain>",
        "<domain type='test'><memory>1</memory></domain>",
        "no xml at all",
        "",
    ):
        with pytest.raises(RpcError) as refused:
            rpc.call("domain.define_xml", xml=bad)
        assert refused.value.code in ("xml_error", "invalid_argument"), bad
        assert refused.value.error["message"]
    assert rpc.call("domain.list") == before


def test_unknown_calls_and_arguments_are_named(rpc: Rpc) -> None:
    assert code_of(rpc, "domain.strat", domain="x") == "no_call"
    assert code_of(rpc, "domain.start") == "invalid_argument"
    assert code_of(rpc, "domain.start", domain=5) == "invalid_argument"
    assert code_of(rpc, "domain.start", domian="x") == "invalid_argument"
    assert code_of(rpc, "domain.start", domain="x", deadline_s=-1) == "invalid_argument"
    names = {call["name"] for call in rpc.call("session.list_calls")}
    assert names == {spec.name for spec in load()}
