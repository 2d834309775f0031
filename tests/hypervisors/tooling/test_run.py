"""Running one tool: bounded, under a deadline, without a shell and without a thread."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mechane.config.errors import DeadlineExceeded, InvalidArgument, OperationFailed, ToolFailed
from mechane.hypervisors.tooling.run import environment, run_tool
from mechane.hypervisors.tooling.target import SshHost, host_of
from mechane.hypervisors.uri import ConnectionUri
from mechane.tests.support.procs import leftovers
from mechane.tests.support.wait import wait_until

T = TypeVar("T")


def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop that is not the main thread's, as a connection's is; return or raise what it did."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert outcome, "the loop did not end"
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    result: T = outcome[0]
    return result


def sh(script: str, **options: Any) -> Coroutine[Any, Any, Any]:
    return run_tool(["sh", "-c", script], **{"deadline_s": 10.0, **options})


def test_output_status_and_input() -> None:
    result = elsewhere(sh("cat; echo oops >&2; exit 3", stdin=b"x" * 200_000))
    assert (result.status, len(result.stdout), result.stderr) == (3, 200_000, "oops\n")
    assert result.check(3) is result
    with pytest.raises(ToolFailed, match="status 3: oops") as failed:
        result.check()
    assert failed.value.details["status"] == 3


def test_secrets_are_masked() -> None:
    result = elsewhere(sh("echo bad hunter2 >&2; exit 1; # hunter2", secrets=["hunter2"]))
    error = result.failure()
    assert "hunter2" not in f"{error} {error.details}"
    assert "hunter2" not in " ".join(result.argv)


def test_output_is_bounded_and_read_to_its_end() -> None:
    result = elsewhere(sh("yes | head -c 5000000; printf '\\377end' >&2", max_output=1000))
    assert (len(result.stdout), result.truncated, result.status) == (1000, True, 0)
    assert result.stderr == "\ufffdend"


def test_a_hung_tool_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    with pytest.raises(DeadlineExceeded) as late:
        elsewhere(sh(f"sh -c 'sleep 1000; : {mark}' & sleep 1000; : {mark}", deadline_s=0.3))
    assert late.value.details["still_running"] is False
    wait_until(lambda: not leftovers(tmp_path), 10, "the end of the group")


def test_a_cancelled_caller_leaves_no_tool(tmp_path: Path) -> None:
    async def body() -> None:
        task = asyncio.ensure_future(sh(f"touch {tmp_path}/began; sleep 1000; : {tmp_path}"))
        async with asyncio.timeout(10):
            while not (tmp_path / "began").exists():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    elsewhere(body())
    wait_until(lambda: not leftovers(tmp_path), 10, "the end of the tool")


def test_a_daemon_left_behind_holds_nothing_up(tmp_path: Path) -> None:
    script = f"setsid sh -c 'while [ ! -e {tmp_path}/stop ]; do sleep 0.05; done' & echo started"
    result = elsewhere(sh(script, deadline_s=5))
    assert result.stdout == "started\n"
    assert leftovers(tmp_path), "the daemon must go on"
    (tmp_path / "stop").touch()
    wait_until(lambda: not leftovers(tmp_path), 10, "the daemon's end")


def test_what_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(OperationFailed) as missing:
        elsewhere(run_tool(["lxc-nonsuch"], deadline_s=5))
    assert "install lxc" in missing.value.remedy
    with pytest.raises(OperationFailed, match="does not exist"):
        elsewhere(run_tool(["true"], deadline_s=5, cwd="/nonsuch"))


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "evil")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert environment({"X": "y"}).keys() <= {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR",
                                              "SSH_AUTH_SOCK", "LC_ALL", "X"}  # fmt: skip
    assert elsewhere(sh("echo $LC_ALL")).stdout == "C\n"


def test_no_thread_is_kept() -> None:
    async def body() -> int:
        await asyncio.gather(*(sh("sleep 0.05") for _ in range(10)))
        return threading.active_count()

    before = threading.active_count()
    assert elsewhere(body()) <= before + 1  # the loop's own


# ---- another host


def ssh_host(folder: Path, uri: str) -> SshHost:
    """Return a host whose ssh is a script that runs the last argument as sshd would: by a shell."""
    fake = folder / "ssh"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$0.log"\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    host = host_of(ConnectionUri.parse(f"{uri}?command={fake}&no_verify=1"), folder)
    assert isinstance(host, SshHost)
    return host


def test_remote_words_are_quoted(tmp_path: Path) -> None:
    host = ssh_host(tmp_path, "xen+ssh://root@far:2222/system")
    result = elsewhere(host.run(["echo", "a  b", "$HOME", "'; exit 9"], deadline_s=10))
    assert result.stdout == "a  b $HOME '; exit 9\n"
    said = (tmp_path / "ssh.log").read_text()
    assert "BatchMode=yes" in said
    assert "-p 2222" in said
    assert " root@far -- " in said
    assert "StrictHostKeyChecking=no" in said


def test_remote_files(tmp_path: Path) -> None:
    host = ssh_host(tmp_path, "xen+ssh://far/system")
    path = str(tmp_path / "a file")
    elsewhere(host.write(path, b"one\ntwo\n", deadline_s=10))
    assert elsewhere(host.read(path, deadline_s=10)) == "one\ntwo\n"
    assert Path(path).stat().st_mode & 0o77 == 0
    elsewhere(host.remove(path, deadline_s=10))
    elsewhere(host.remove(path, deadline_s=10))
    assert not Path(path).exists()


def test_a_remote_host_without_the_tool_or_out_of_reach(tmp_path: Path) -> None:
    host = ssh_host(tmp_path, "xen+ssh://far/system")
    with pytest.raises(OperationFailed, match="not installed"):
        elsewhere(host.run(["nonsuch-tool"], deadline_s=10))
    with pytest.raises(OperationFailed, match="cannot reach far"):
        elsewhere(host.run(["sh", "-c", "echo no route >&2; exit 255"], deadline_s=10))


@pytest.mark.parametrize("uri", ["xen+tls://far/system", "xen://far/system", "xen+ssh:///system"])
def test_what_tools_cannot_reach_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be reached|names no host"):
        host_of(ConnectionUri.parse(uri), tmp_path)
