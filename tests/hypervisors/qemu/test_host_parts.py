"""The parts that touch the host: folders, logs, owners, control groups, strays, processes."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from mechane.config.errors import OperationFailed, StartFailed
from mechane.hypervisors.qemu import cgroup, identity, ownership
from mechane.hypervisors.qemu.cgroup import Member
from mechane.hypervisors.qemu.folder import GuestFolder
from mechane.hypervisors.qemu.identity import Identity
from mechane.hypervisors.qemu.logfile import TAIL_BYTES, GuestLog
from mechane.hypervisors.qemu.options import QemuOptions
from mechane.hypervisors.qemu.process import QemuProcess
from mechane.hypervisors.qemu.procfs import parse_stat, read_stat
from mechane.hypervisors.qemu.spawn import spawn
from mechane.tests.hypervisors.qemu.env import run, until

UUID = "6e27d4a0-7dbb-4b6b-b7a4-d7dbe7dbbd01"


def test_a_folder_of_any_length_has_a_monitor_socket(tmp_path: Path) -> None:
    folder = GuestFolder(tmp_path / ("x" * 120) / UUID)
    (tmp_path / ("x" * 120)).mkdir()
    with folder.create(os.geteuid(), os.getegid()) as listener, folder.connect(os.getpid()) as client:
        accepted, _ = listener.accept()
        accepted.send(b"hello")
        assert client.recv(10) == b"hello"
        accepted.close()
    assert folder.path.stat().st_mode & 0o777 == (0o710 if os.geteuid() == 0 else 0o700)
    assert folder.own.stat().st_mode & 0o777 == 0o700
    folder.create(os.geteuid(), os.getegid()).close()  # a stale one is replaced
    with pytest.raises(OSError, match="refused"):
        folder.connect(os.getpid())
    secret = folder.write_secret("password", "sesame", os.geteuid(), os.getegid())
    assert Path(secret).stat().st_mode & 0o777 == 0o600
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_a_log_is_appended_to_rotated_and_quoted(tmp_path: Path) -> None:
    log = GuestLog(tmp_path / "log" / "guest.log", limit_bytes=20_000, files=2)
    for round_ in range(4):
        fd, offset = log.open("starting guest")
        assert log.tail(offset) == ""
        os.write(fd, b"x" * 20_000 + f"\nround {round_}\n".encode())
        assert log.tail(offset).endswith(f"round {round_}")
        assert len(log.tail(offset)) <= TAIL_BYTES
        os.close(fd)
    assert sorted(entry.name for entry in log.path.parent.iterdir()) == ["guest.log", "guest.log.0", "guest.log.1"]
    fd, offset = log.open("starting guest")
    assert log.path.with_name("guest.log.0").read_bytes().endswith(b"round 3\n")
    assert offset == log.path.stat().st_size  # nothing but the header of this start
    os.write(fd, b"y" * 30_000)
    assert log.rotate()  # under the hands of who appends
    os.write(fd, b"after")
    assert log.path.read_bytes() == b"after"
    assert log.tail(offset + 30_000) == "after"
    os.close(fd)


def test_a_log_that_may_grow_is_left_alone(tmp_path: Path) -> None:
    log = GuestLog(tmp_path / "guest.log", limit_bytes=0, files=3)
    fd, _ = log.open("starting")
    os.write(fd, b"z" * 100_000)
    os.close(fd)
    assert not log.rotate()
    assert not GuestLog(tmp_path / "none.log", limit_bytes=10, files=3).rotate()


@pytest.mark.root
def test_owners_are_taken_and_given_back(tmp_path: Path) -> None:
    disk, shared = tmp_path / "disk", tmp_path / "shared"
    for file in (disk, shared):
        file.write_text("")
    os.chown(disk, 1111, 1111)
    os.chown(shared, 2222, 2222)
    owners = ownership.plan([str(disk), str(shared), str(tmp_path / "none"), "/dev/null", str(disk)], 2222)
    assert owners == [(str(disk), 1111, 1111)]
    ownership.take(owners, 2222, 2222)
    assert disk.stat().st_uid == 2222
    assert ownership.restore([*owners, (str(tmp_path / "gone"), 1, 1)], 2222) == []
    assert (disk.stat().st_uid, disk.stat().st_gid) == (1111, 1111)
    os.chown(disk, 3333, 3333)  # somebody else wanted it meanwhile
    ownership.restore(owners, 2222)
    assert disk.stat().st_uid == 3333


def test_the_folder_that_stops_a_user_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "in").mkdir(parents=True)
    tmp_path.chmod(0o755)
    closed.chmod(0o700)
    found = ownership.barrier(str(closed / "in" / "disk"), 54321, frozenset())
    assert found is not None and str(closed).startswith(found)
    assert ownership.barrier("/usr/bin/env", 54321, frozenset()) is None


def test_groups_of_both_versions(tmp_path: Path) -> None:
    stat = read_stat(os.getpid())
    assert stat is not None
    member = Member(UUID, os.getpid(), stat.start_time)
    v1 = tmp_path / "v1"
    for name in ("cpu", "memory"):
        (v1 / name).mkdir(parents=True)
        (v1 / name / "cgroup.procs").write_text("")
    assert cgroup.place([member], v1) == ""
    assert (v1 / "memory" / "mechane" / UUID / "cgroup.procs").read_text() == str(os.getpid())
    assert cgroup.place([Member(UUID, os.getpid(), 1)], tmp_path / "none") == "no control groups are mounted"
    v2 = tmp_path / "v2"
    own = cgroup.own_group().lstrip("/")
    (v2 / own).mkdir(parents=True)
    (v2 / "cgroup.controllers").write_text("cpu memory")
    assert cgroup.place([Member("another", os.getpid(), 1)], v2) == ""  # the PID is another process now
    assert not list(v2.rglob("another"))
    assert cgroup.place([member], v2) == ""
    assert (v2 / own / "mechane" / UUID / "cgroup.procs").exists()


def test_groups_without_processes_go(tmp_path: Path) -> None:
    group = tmp_path / "cpu" / "mechane" / UUID
    group.mkdir(parents=True)
    (tmp_path / "cpu" / "cgroup.procs").write_text("")
    assert cgroup.remove(UUID, tmp_path) == []
    assert not group.exists()
    group.mkdir()
    cgroup.remove_empty(tmp_path)
    assert not group.exists()
    assert cgroup.remove(UUID, tmp_path) == []


def test_root_never_runs_guests_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chosen = identity.choose(QemuOptions(user="nobody"))
    assert chosen.drops and chosen.uid != 0
    assert f"--reuid={chosen.uid}" in chosen.prefix
    with pytest.raises(OperationFailed, match="a user for QEMU"):
        identity.choose(QemuOptions(user="no-such-user"))
    with pytest.raises(OperationFailed, match="no-such-group"):
        identity.choose(QemuOptions(user="nobody", group="no-such-group"))
    assert not identity.choose(QemuOptions(run_as_root=True)).drops


def test_settings_take_lists_and_leave_out_what_is_not_ours() -> None:
    options = QemuOptions.of({"emulator_dirs": ["/opt"], "kvm": "off", "other": 1})
    assert (options.emulator_dirs, options.kvm) == (("/opt",), "off")


def test_the_child_gets_nothing_but_what_is_listed(tmp_path: Path) -> None:
    async def body() -> None:
        log = GuestLog(tmp_path / "log", limit_bytes=0, files=0)
        fd, offset = log.open("starting")
        kept, lost = os.pipe()
        script = "echo $PWD; umask; ls -l /proc/self/fd | wc -l; env; cat"
        pid = spawn(
            ["/bin/sh", "-c", script], identity=Identity.own(), log_fd=fd, pass_fds=(kept,), environment={"A": "b"},
            domain="vm",
        )  # fmt: skip
        ended: list[bool] = []
        process = QemuProcess(pid, asyncio.get_running_loop(), on_exit=lambda: ended.append(True), on_stubborn=print)
        await until(lambda: ended)
        assert process.status == 0
        said = log.tail(offset).splitlines()
        assert said[:2] == ["/", "0077"]
        assert "A=b" in said and "LC_ALL=C" in said
        assert not any(line.startswith(("MECHANE", "USER=")) for line in said)
        for end in (kept, lost, fd):
            os.close(end)
        with pytest.raises(StartFailed, match="could not be executed"):
            spawn(["/no/such"], identity=Identity.own(), log_fd=1, pass_fds=(), environment={}, domain="vm")

    run(body())


def deaf_child() -> subprocess.Popen[bytes]:
    """Start a process that ignores SIGTERM."""
    script = "trap '' TERM; echo ready; sleep 60 & wait; wait"
    child = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    child.stdout.close()
    return child


def grandchild() -> int:
    """Start a process that is not our child, and return its PID."""
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    return int(subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout)


def test_a_process_that_ignores_the_polite_signal_is_killed_after_its_grace() -> None:
    async def body() -> None:
        child = deaf_child()
        ended: list[bool] = []
        process = QemuProcess(
            child.pid, asyncio.get_running_loop(), on_exit=lambda: ended.append(True), on_stubborn=print
        )
        await asyncio.to_thread(process.kill, 0.05)  # from any thread
        process.kill(30.0)  # does not put off what was begun
        await until(lambda: ended)
        child.returncode = 0
        assert process.status == -signal.SIGKILL
        process.kill(0.0)
        os.killpg(child.pid, signal.SIGKILL)

    run(body())


def test_a_process_that_is_not_our_child_is_watched_too() -> None:
    async def body() -> None:
        ended: list[bool] = []
        process = QemuProcess(
            grandchild(), asyncio.get_running_loop(), on_exit=lambda: ended.append(True), on_stubborn=print
        )
        process.kill(0.0)
        await until(lambda: ended)
        assert process.status is None
        with pytest.raises(OSError, match="No such process"):
            QemuProcess(2**22 - 1, asyncio.get_running_loop(), on_exit=print, on_stubborn=print)

    run(body())


def test_a_name_in_stat_may_hold_anything() -> None:
    text = b"7 (a) b ( c) S 1 7 7 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 777 0 3" + b" 0" * 15 + b" 1 0 0 0"
    stat = parse_stat(text)
    assert (stat.state, stat.start_time) == ("S", 777)
    assert stat.user_ns == 5 * stat.system_ns
