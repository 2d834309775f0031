"""Socket files: modes, stale ones, long paths, and who is refused."""

import socket
import stat
from pathlib import Path

import pytest

from mechane.actors.gateway import Gateway
from mechane.config.errors import Conflict, OperationFailed
from mechane.protocol.permissions import Policy
from mechane.protocol.wire import Limits
from mechane.tests.actors.gateway.rig import CATALOGUE, Raw, Recorder, running


def gateway() -> Gateway:
    return Gateway(Limits(), Recorder(), policy=Policy(), catalogue=CATALOGUE)


def test_modes() -> None:
    with running() as rig:
        modes = {name: stat.S_IMODE((rig.folder / name).stat().st_mode) for name in ("rw", "ro")}
        assert modes == {"rw": 0o660, "ro": 0o666}


def test_a_stale_socket_is_replaced(short_tmp: Path) -> None:
    path = short_tmp / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    ours = gateway()
    ours.listen_unix(path)
    ours.start()
    client = Raw.unix(path)
    assert client.call(1, "session.ping")
    client.close()
    ours.stop()
    assert not path.exists()


def test_a_socket_in_use_is_not_taken(short_tmp: Path) -> None:
    first, second = gateway(), gateway()
    first.listen_unix(short_tmp / "s")
    with pytest.raises(Conflict, match="listens"):
        second.listen_unix(short_tmp / "s")
    second.stop()
    assert (short_tmp / "s").exists()
    first.stop()
    assert not (short_tmp / "s").exists()


def test_a_file_is_not_removed(short_tmp: Path) -> None:
    (short_tmp / "s").write_text("precious")
    ours = gateway()
    with pytest.raises(Conflict, match="no socket"):
        ours.listen_unix(short_tmp / "s")
    ours.stop()
    assert (short_tmp / "s").read_text() == "precious"


def test_a_missing_folder_is_an_error(short_tmp: Path) -> None:
    ours = gateway()
    with pytest.raises(OperationFailed, match="cannot listen"):
        ours.listen_unix(short_tmp / "none" / "s")
    ours.stop()


def test_a_socket_taken_over_by_another_is_left_alone(short_tmp: Path) -> None:
    path = short_tmp / "s"
    first, second = gateway(), gateway()
    first.listen_unix(path)
    path.unlink()
    second.listen_unix(path)
    first.stop()
    assert path.exists()
    second.stop()


def test_long_paths(short_tmp: Path) -> None:
    folder = short_tmp / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    path = folder / "mechane.sock"
    ours = gateway()
    ours.listen_unix(path)
    ours.start()
    from mechane.actors.gateway.listener import short_path

    sock = socket.socket(socket.AF_UNIX)
    with short_path(path) as name:
        sock.connect(name)
    client = Raw(sock)
    assert client.call(1, "session.ping")
    client.close()
    ours.stop()
    assert not path.exists()
    with pytest.raises(OperationFailed, match="too long"):
        gateway_at = gateway()
        try:
            gateway_at.listen_unix(folder / ("s" * 104))
        finally:
            gateway_at.stop()
