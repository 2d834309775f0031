"""Folders and files that a node cannot use: it says so in one line, and does not start."""

import subprocess
import sys
from pathlib import Path

import pytest

from mechane.config.errors import SettingsError
from mechane.config.settings import load


@pytest.mark.parametrize("what", ["--state-dir", "--runtime-dir"])
@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_file_where_a_folder_should_be(what: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    other = "--runtime-dir" if what == "--state-dir" else "--state-dir"
    argv = [what, str(tmp_path / below), other, str(tmp_path / "other"), "--connection", "test:///default"]
    ended = subprocess.run(
        [sys.executable, "-m", "mechane", "node", *argv],
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
        check=False,
    )
    assert ended.returncode == 1
    said = ended.stderr
    assert said.startswith(f"mechaned: the folder {tmp_path / below} cannot be used: ")
    assert said.count("\n") == 1 and what in said
    assert (tmp_path / "file").read_text() == "kept"


def test_default_settings_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "mechane" / "mechane.toml").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory"):
        load(environ={"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/"}, uid=1000)
    (tmp_path / "file").write_text("")
    made = load(environ={"XDG_CONFIG_HOME": str(tmp_path / "file"), "HOME": "/"}, uid=1000)
    assert made.source is None


@pytest.mark.parametrize(("uri", "why"), [("qemuu:///system", "no driver serves"), ("system", "is no connection URI")])
def test_a_connection_that_nobody_serves(uri: str, why: str, tmp_path: Path) -> None:
    argv = ["--state-dir", str(tmp_path / "s"), "--runtime-dir", str(tmp_path / "r"), "--connection", uri]
    ended = subprocess.run(
        [sys.executable, "-m", "mechane", "node", *argv],
        capture_output=True, text=True, timeout=30, cwd="/", check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert why in ended.stderr
