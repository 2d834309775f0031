"""The verbs, against a real node with the in-memory hypervisor."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mechane.protocol.cli import exits
from mechane.protocol.cli.main import main
from mechane.tests.protocol.cli.conftest import Cli
from mechane.tests.support.wait import wait_until


def test_life_of_a_domain(cli: Cli) -> None:
    cli.define("web")
    assert "started" in cli.ok("start", "web", "--paused")
    assert cli.ok("domstate", "web", "--reason").startswith("paused (")
    cli.ok("resume", "web")
    assert cli.ok("domstate", "web") == "running\n"
    number, uuid = cli.ok("domid", "web").strip(), cli.ok("domuuid", "web").strip()
    assert cli.ok("domname", uuid) == "web\n"
    assert cli.ok("domname", number) == "web\n"
    for verb in ("suspend", "resume", "reset", "reboot"):
        assert "web" in cli.ok(verb, "web")
    assert "shutdown" in cli.ok("shutdown", "web", "--mode", "acpi", "--wait")
    assert cli.ok("wait", "web", "shutoff").startswith("shut off (")
    assert cli.ok("domstate", "web") == "shut off\n"
    assert cli.ok("list", "--all").splitlines()[-1].split(maxsplit=2)[2] == "shut off"
    assert [line for line in cli.ok("dominfo", "web").splitlines() if "off" in line] == ["State:        shut off"]
    assert cli.json("domstate", "web")["state"] == "shutoff", "a record keeps its word"
    cli.ok("start", "web")
    assert cli.ok("destroy", "web", "--graceful") == "Domain 'web' destroyed\n"
    assert cli.ok("-q", "start", "web") == ""
    cli.ok("destroy", "web", "--grace", "0")
    cli.ok("domrename", "web", "new")
    assert cli.ok("list", "--all", "--name") == "new\n"
    assert "undefined" in cli.ok("undefine", "new")


def test_lists_and_their_filters(cli: Cli) -> None:
    for name in ("one", "two", "数据库"):
        cli.define(name)
    cli.ok("start", "one")
    cli.ok("autostart", "two")
    assert cli.ok("list", "--name") == "one\n"
    assert cli.ok("list", "--inactive", "--name").split() == ["two", "数据库"]
    assert cli.ok("list", "--all", "--autostart", "--name") == "two\n"
    assert cli.ok("list", "--state-shutoff", "--pattern", "t*", "--name") == "two\n"
    assert cli.ok("list", "--transient", "--name") == ""
    assert {record["name"] for record in cli.json("list", "--all")} == {"one", "two", "数据库"}
    titles, _, first, *_ = cli.ok("list", "--all").splitlines()
    assert titles.split() == ["Id", "Name", "State"]
    assert first.split()[1:] == ["one", "running"]
    assert json.loads(cli.ok("list", "--json"))[0]["name"] == "one"
    cli.ok("autostart", "two", "--disable")


def test_descriptions_and_metadata(cli: Cli) -> None:
    cli.define("web")
    cli.ok("desc", "web", "--title", "--config", "My", "title")
    assert cli.ok("desc", "web", "--title") == "My title\n"
    assert cli.ok("desc", "web") == "No description for domain: web\n"
    cli.ok("desc", "web", "Longer", "text")
    assert cli.ok("desc", "web") == "Longer text\n"
    assert "My title" in cli.ok("list", "--all", "--title")
    cli.ok("metadata", "web", "http://x", "--key", "x", "--set", "<tag a='1'/>")
    assert "tag" in cli.ok("metadata", "web", "http://x")
    cli.ok("metadata", "web", "http://x", "--remove")
    assert cli.run("metadata", "web", "http://x")[0] == exits.NOT_FOUND


def test_xml_out_and_edited(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.define("web")
    assert "<name>web</name>" in cli.ok("dumpxml", "web", "--inactive", "--security-info")
    monkeypatch.setenv("EDITOR", "sed -i s/<vcpu.*vcpu>/<vcpu>3<\\\\/vcpu>/")
    assert "edited" in cli.ok("edit", "web")
    assert cli.json("dominfo", "web")["vcpus"] == 3
    monkeypatch.setenv("EDITOR", "true")
    assert "not changed" in cli.ok("edit", "web")
    monkeypatch.setenv("EDITOR", "false")
    assert cli.run("edit", "web")[0] == exits.FAILED
    monkeypatch.setenv("EDITOR", "sed -i s/<name>web/<name>/")
    code, _, err = cli.run("edit", "web")
    assert code == exits.FAILED
    assert "error:" in err


def test_transient(cli: Cli, tmp_path: Path) -> None:
    path = cli.define("web")
    cli.ok("undefine", "web")
    assert "created" in cli.ok("create", str(path))
    assert cli.ok("list", "--transient", "--name") == "web\n"
    assert "Persistent:   no" in cli.ok("dominfo", "web")
    cli.ok("destroy", "web")
    assert cli.ok("list", "--all", "--name") == ""


def test_statistics_jobs_and_monitor(cli: Cli) -> None:
    cli.define("web")
    cli.ok("start", "web")
    assert "state.state=1" in cli.ok("domstats", "web", "--state")
    assert "cpu.time" not in cli.ok("domstats", "--state", "--list-active")
    assert cli.ok("domjobinfo", "web") == "Job type:  none\n"
    assert cli.run("domjobabort", "web")[0] == exits.NOT_FOUND
    assert cli.ok("domcontrol", "web") == "ok\n"
    answer = json.loads(cli.ok("qemu-monitor-command", "web", '{"execute": "query-status"}'))
    assert "running" in json.dumps(answer)
    cli.ok("qemu-monitor-command", "--pretty", "web", '{"execute": "query-status"}')
    assert cli.run("qemu-monitor-command", "web", "--hmp", "info", "status")[0] == exits.OK
    assert "web" in cli.ok("top", "--once")


def test_host_and_administration(cli: Cli) -> None:
    assert "test:///default" in cli.ok("connections")
    assert cli.ok("uri") == "test:///default\n"
    for verb in ("nodeinfo", "version", "hostname", "capabilities", "domcapabilities", "health", "workers"):
        assert cli.ok(verb)
    assert cli.ok("ping", "3").count("µs") == 1
    number = cli.json("client-list")[0]["id"]
    assert cli.run("client-info", str(number))[0] in (exits.OK, exits.NOT_FOUND)
    assert cli.run("client-disconnect", "999999")[0] == exits.NOT_FOUND
    cli.ok("srv-threadpool-set", "libvirtd", "--max-workers", "23")
    assert "23" in cli.ok("srv-threadpool-info", "libvirtd")
    assert "router_length:" in cli.ok("limits", "mailbox_length=65")
    assert cli.json("limits")["mailbox_length"] == 65
    assert cli.run("limits", "mailbox_length=many")[0] == exits.FAILED
    cli.ok("log-level", "debug")
    assert cli.ok("log-level") == "debug\n"
    cli.ok("log-level", "info")
    cli.ok("-c", "test:///default", "reattach")


def test_events_kept_and_waited_for(cli: Cli) -> None:
    cli.define("web")
    since = cli.json("events")[-1]["cursor"]
    cli.ok("start", "web")
    assert "started booted" in cli.ok("events", "--since", since, "--kind", "lifecycle")
    assert "started" in cli.ok("event", "--since", since, "--domain", "web")
    assert cli.ok("event", "--since", since, "--loop", "--timeout", "0.2").count("web") >= 1
    assert cli.run("event", "--kind", "watchdog", "--timeout", "0.05")[0] == exits.TOO_LATE
    line = cli.ok("events", "--follow", "--since", since, "--timeout", "0.2", "--json").splitlines()[0]
    assert json.loads(line)["event"] == "started"
    assert "lifecycle" in cli.ok("event", "--list")


def test_the_newest_events_are_shown_and_a_domain_is_looked_for_first(cli: Cli) -> None:
    cli.define("old")
    cli.define("busy")
    for _ in range(3):
        cli.ok("start", "busy")
        cli.ok("destroy", "busy", "--grace", "0")
    last = cli.json("events")[-1]
    assert cli.json("events", "--limit", "1") == [last]
    (only,) = cli.json("events", "--domain", "old", "--limit", "1")
    assert (only["name"], only["event"]) == ("old", "defined")
    cli.ok("undefine", "old")
    assert "undefined" in cli.ok("events", "--domain", "old", "--limit", "1"), "it is gone, its events are not"


def test_a_snapshot_is_named_before_it_goes(cli: Cli) -> None:
    cli.define("web")
    cli.ok("snapshot-create-as", "web", "one")
    for verb in ("snapshot-delete", "snapshot-revert"):
        code, _, err = cli.run(verb, "web")
        assert code == exits.FAILED and "--current is required" in err
        assert cli.run(verb, "web", "one", "--current")[0] == exits.FAILED
    assert cli.ok("snapshot-list", "web", "--name") == "one\n"
    assert cli.run("snapshot-create-as", "web", "two", "--disk-only")[0] == exits.FAILED
    cli.ok("snapshot-revert", "web", "--current")
    cli.ok("snapshot-delete", "web", "--current")
    assert cli.ok("snapshot-list", "web", "--name") == ""


def test_one_that_fails_keeps_no_other_from_its_turn(cli: Cli) -> None:
    for name in ("one", "two"):
        cli.define(name)
        cli.ok("start", name)
    code, out, err = cli.run("shutdown", "none", "one", "--wait")
    assert code == exits.NOT_FOUND and "none" in err and "'one' is off" in out
    code, out, err = cli.run("destroy", "one", "two", "none", "--grace", "0")
    assert code == exits.FAILED and "'two' destroyed" in out and err.count("error:") == 2


def test_raw_calls(cli: Cli) -> None:
    path = cli.define("web")
    assert json.loads(cli.ok("call", "domain.get_state", "domain=web"))["state"] == "shutoff"
    assert json.loads(cli.ok("call", "domain.list", '{"active": false}'))[0]["name"] == "web"
    cli.ok("undefine", "web")
    assert json.loads(cli.ok("call", "domain.define_xml", f"xml=@{path}"))["name"] == "web"
    cli.ok("start", "web")
    number = cli.ok("domid", "web").strip()
    assert json.loads(cli.ok("call", "domain.get_state", f"domain={number}"))["state"] == "running"
    command = '{"execute": "query-status"}'
    assert json.loads(cli.ok("call", "domain.monitor_command", "domain=web", f"command={command}"))["running"]
    cli.ok("call", "domain.set_metadata", "domain=web", "type=title", "value=12")
    assert cli.ok("desc", "web", "--title") == "12\n"
    cli.ok("call", "domain.set_metadata", "domain=web", "type=title", "value=null")
    assert cli.json("dominfo", "web")["title"] == ""
    assert cli.run("call", "domain.get_state", "web")[0] == exits.FAILED
    assert cli.run("call", "domain.nonsense")[0] == exits.NOT_FOUND
    assert "domain.wait" in cli.ok("api", "domain.")
    assert "443" in cli.ok("api", "--coverage")


def test_exit_codes_and_errors(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli.run("start", "nobody")
    assert (code, out) == (exits.NOT_FOUND, "")
    assert "error: " in err
    assert "try: " in err
    code, _, err = cli.run("--json", "start", "nobody")
    assert json.loads(err)["error"]["code"] == "no_domain"
    assert cli.run("startt", "web")[0] == exits.USAGE
    assert cli.run("start")[0] == exits.USAGE
    assert cli.run("list", "--deadline", "soon")[0] == exits.USAGE
    assert cli.run("define", str(tmp_path / "missing.xml"))[0] == exits.FAILED
    assert main(["--socket", str(tmp_path / "no"), "list"]) == exits.NO_NODE
    assert main([]) == exits.USAGE
    assert main(["--help"]) == exits.OK
    assert main(["--version"]) == exits.OK
    assert main(["list", "--help"]) == exits.OK
    capsys.readouterr()


def test_read_only_and_denied(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    cli.define("web")
    socket = str(cli.node.read_only_socket)
    assert main(["--socket", socket, "list", "--all", "--name"]) == exits.OK
    assert "web" in capsys.readouterr().out
    assert main(["--socket", socket, "start", "web"]) == exits.DENIED
    capsys.readouterr()


def test_deadline_and_interrupt(cli: Cli) -> None:
    cli.define("web")
    code, _, _ = cli.run("wait", "web", "running", "--deadline", "0.05")
    assert code == exits.TOO_LATE

    def interrupt() -> None:
        wait_until(lambda: waiting() > 0)
        os.kill(os.getpid(), signal.SIGINT)

    def waiting() -> int:
        with cli.node.connect() as rpc:
            clients = rpc.call("node.list_clients")
        return int(sum(client["in_flight"] for client in clients)) - 1  # our own question is one

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, _, _ = cli.run("wait", "web", "running")
    thread.join(15)
    assert code == exits.INTERRUPTED
    wait_until(lambda: waiting() == 0)


def test_readonly_is_read_only_beside_a_socket_that_is_named(cli: Cli) -> None:
    cli.define("web")
    cli.ok("start", "web")
    assert cli.ok("--readonly", "domstate", "web") == "running\n"
    assert cli.run("--readonly", "destroy", "web")[0] == exits.DENIED
    assert cli.ok("domstate", "web") == "running\n"


def test_an_output_that_is_full_is_an_error_of_one_line(cli: Cli) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "mechane", "--socket", str(cli.node.socket), "api"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, cwd="/", check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (
        exits.FAILED, "error: the output cannot be written: No space left on device\n"
    )  # fmt: skip


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_stream_is_none_to_stumble_over(cli: Cli, closed: int) -> None:
    """A script that runs it with <&- or >&- must not have its socket take that number, nor read a traceback."""
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, sys.argv[1:])"
    words = [sys.executable, "-c", code, sys.executable, "-m", "mechane", "--socket", str(cli.node.socket)]
    for verb in (["list", "--all"], ["events"], ["ping"], ["define", "-"]):
        done = subprocess.run([*words, *verb], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=30, cwd="/")  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == (exits.FAILED if verb == ["define", "-"] else exits.OK), (verb, done)
