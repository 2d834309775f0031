"""The settings: defaults, what is refused and how, and the generated documentation."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from mechane.config import settings
from mechane.config.errors import SettingsError
from mechane.config.settings_docs import settings_markdown, settings_toml
from mechane.hypervisors.qemu.options import QemuOptions
from mechane.protocol.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
USER = {"HOME": "/home/ada"}


def load(text: str, tmp_path: Path) -> settings.Settings:
    file = tmp_path / "mechane.toml"
    file.write_text(text)
    return settings.load(config=file, limits=Limits, environ=USER, uid=1000)


def test_defaults_of_root() -> None:
    made = settings.load(limits=Limits, environ={}, uid=0)
    assert (made.state_dir, made.runtime_dir) == (Path("/var/lib/mechane"), Path("/run/mechane"))
    assert made.connections == ("qemu:///system",)
    assert (made.workers.prio_workers, made.workers.min_workers, made.workers.max_workers) == (5, 5, 20)
    assert made.limits == Limits()
    assert settings.default_config({}, 0) == Path("/etc/mechane/mechane.toml")


def test_defaults_of_a_user() -> None:
    made = settings.load(environ={**USER, "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/nowhere"}, uid=7)
    assert made.state_dir == Path("/home/ada/.local/state/mechane")
    assert made.runtime_dir == Path("/run/user/7/mechane")
    assert made.connections == ("qemu:///session",)


def test_relative_xdg_folders_do_not_count() -> None:
    # the XDG base directory specification: all paths must be absolute, others are to be ignored
    assert settings.default_state_dir({**USER, "XDG_STATE_HOME": "here"}, 7) == Path("/home/ada/.local/state/mechane")


def test_command_line_wins_over_file(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text('[node]\nstate_dir = "/a"\nruntime_dir = "/b"\nconnections = ["test:///default"]\n')
    made = settings.load(config=file, state_dir=Path("/c"), connections=["qemu:///system"], environ=USER, uid=1000)
    assert (made.state_dir, made.runtime_dir) == (Path("/c"), Path("/b"))
    assert made.connections == ("qemu:///system",)
    assert made.source == file


def test_values_and_sections(tmp_path: Path) -> None:
    made = load("[qemu]\nsandbox = false\nlog_files = 0\n[deadlines]\nquery_s = 3\n[limits]\ndepth = 16\n", tmp_path)
    assert made.section("qemu")["sandbox"] is False
    assert made.section("qemu")["log_files"] == 0
    assert made.deadlines.query_s == 3.0
    assert made.limits.depth == 16
    assert made.section("grants") == {} == made.section("nothing")
    assert made.section("vmwareplayer") == made.section("vmware") == {"vmrun": ""}


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("[qmeu]\n", "qmeu", "qemu"),
        ("[qemu]\nsandbx = true\n", "qemu.sandbx", "sandbox"),
        ("[qemu]\nsandbox = 1\n", "qemu.sandbox", "true or false"),
        ("[workers]\nprio_workers = 0\n", "workers.prio_workers", "from 1 to 64"),
        ("[workers]\nprio_workers = 2.5\n", "workers.prio_workers", "whole number"),
        ("[workers]\nprio_workers = true\n", "workers.prio_workers", "whole number"),
        ("[workers]\nmin_workers = 9\nmax_workers = 8\n", "workers.max_workers", "min_workers"),
        ("[qemu]\ndisplay_port_min = 6000\ndisplay_port_max = 5999\n", "qemu.display_port_max", "display_port_min"),
        ('[node]\nlog_level = "loud"\n', "node.log_level", "debug"),
        ('[node]\nconnections = "qemu:///system"\n', "node.connections", "list"),
        ('[node]\nstate_dir = "here"\n', "node.state_dir", "absolute"),
        ("[limits]\nframe_byte = 1\n", "limits.frame_byte", "frame_bytes"),
        ("[limits]\ndepth = 1\n", "limits.depth", "from 4 to 256"),
        ("node = 3\n", "node", "[node]"),
        ("[grants]\n", "grants", "[[grants]]"),
        ("node = [", "mechane.toml", "not TOML"),
    ],
)
def test_refused(text: str, path: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text, tmp_path)
    assert str(caught.value.details["path"]).endswith(path)
    assert says in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.load(config=tmp_path / "none.toml", environ=USER, uid=1000)


def test_grants_are_handed_on(tmp_path: Path) -> None:
    made = load('[[grants]]\nidentity = "uid:7"\npermissions = ["domain:read*"]\n', tmp_path)
    assert made.grants == ({"identity": "uid:7", "permissions": ["domain:read*"]},)


def test_every_key_is_documented() -> None:
    for cls in (*settings.SECTIONS.values(), Limits):
        for key in fields(cls):
            assert key.metadata["doc"], key.name


def test_generated_files_are_current() -> None:
    hint = "write them anew with: mechane api --docs docs; mechane api --generate"
    assert (ROOT / "config/mechane.toml").read_text() == settings_toml(limits=Limits), hint
    assert (ROOT / "docs/settings.md").read_text() == settings_markdown(limits=Limits), hint


def test_the_shipped_file_holds_every_default(tmp_path: Path) -> None:
    """Taking the comment signs off the keys gives the defaults, and nothing that is refused."""
    lines = settings_toml(limits=Limits).splitlines()
    active = "\n".join(
        line.removeprefix("#") if " = " in line and not line.startswith("# ") else line for line in lines
    )
    active = active.partition("#[[grants]]")[0]
    assert settings.parse_table(tomllib.loads(active), limits=Limits) == settings.parse_table({}, limits=Limits)
    assert load(active, tmp_path).source is not None


def test_the_qemu_driver_knows_each_of_its_keys() -> None:
    ours = {key.name: key.default for key in fields(settings.QemuSettings)}
    assert ours == {key.name: key.default for key in fields(QemuOptions)}


def test_no_key_is_idle() -> None:
    """Each key is read by name somewhere outside the declarations."""
    files = [file for part in ("actors", "hypervisors", "protocol") for file in (ROOT / part).rglob("*.py")]
    source = "\n".join(file.read_text() for file in files)
    idle = [
        f"{name}.{key.name}"
        for name, cls in settings.SECTIONS.items()
        for key in fields(cls)
        if not re.search(rf"\b{key.name}\b", source)
    ]
    # one kind of store so far; the folders and connections are read in config/settings.py itself
    assert set(idle) <= {"store.kind"}
