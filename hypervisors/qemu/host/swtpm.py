"""TPM emulators: one swtpm for each guest, as QEMU's user, its state in a folder of its own (swtpm(8))."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ....config.errors import StartFailed
from .helpers import HelperPlan
from .secrets import secret_value

if TYPE_CHECKING:
    from ....config.domain.tpm import Tpm, TpmBackend
    from .site import Site

PROGRAM = "swtpm"
SETUP = "swtpm_setup"
SETUP_S = 60.0
PATHS = "/usr/bin:/usr/local/bin:/bin"
BANKS = ("sha1", "sha256", "sha384", "sha512")
CIPHER = "aes-256-cbc"


def prepare_swtpm(item: Tpm, site: Site) -> tuple[HelperPlan, int]:
    """Make the state's folder and say how to start the emulator. Blocks.

    Returns:
        The plan, and QEMU's end of the control channel.

    Raises:
        StartFailed: swtpm is missing, or its folder cannot be made.
    """
    program = _find(PROGRAM)
    backend = item.backend
    alias = item.alias.name or "tpm0"
    state = _state_dir(backend, site)
    version2 = backend.version != "1.2"
    if not state.exists():
        _make(state, site)
        if backend.active_pcr_banks is not None:
            _set_up(state, backend, site)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # by descriptor, so that the emulator's user need not pass the folders above
    fds = [theirs.detach(), os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), os.dup(site.log_fd)]
    argv = [
        program, "socket", "--tpmstate", f"dir=/proc/self/fd/{fds[1]},mode=0600",
        "--ctrl", f"type=unixio,clientfd={fds[0]}", "--terminate",
        # the prefix is also how a sweep sees whose it is
        "--log", f"fd={fds[2]},level={backend.debug or 1},prefix={site.folder.path}/{alias}: ",
    ]  # fmt: skip
    if version2:
        argv.append("--tpm2")
    if backend.encryption is not None and backend.encryption.secret:
        fds.append(_key(backend.encryption.secret, site))
        argv += ["--key", f"pwdfd={fds[-1]},mode={CIPHER}"]
    return HelperPlan(name=f"{alias}.swtpm", argv=tuple(argv), pass_fds=tuple(fds)), ours.detach()


def _find(name: str) -> str:
    program = shutil.which(name, path=PATHS)
    if program is None:
        raise StartFailed(
            f"{name} is not installed, which emulates TPMs",
            remedy="install it (Debian: swtpm and swtpm-tools)", path="/domain/devices/tpm/backend",
        )  # fmt: skip
    return program


def _state_dir(backend: TpmBackend, site: Site) -> Path:
    source = backend.source
    if source is None or not source.path:
        return site.tpm_dir
    if source.type == "file":
        raise StartFailed("the state of a TPM cannot lie in a single file", remedy="use type='dir'",
                          path="/domain/devices/tpm/backend/source/@type")  # fmt: skip
    return Path(source.path)


def _make(state: Path, site: Site) -> None:
    state.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    state.mkdir(mode=0o700)
    if site.identity.drops:
        os.chown(state, site.identity.uid, site.identity.gid)


def _set_up(state: Path, backend: TpmBackend, site: Site) -> None:
    """Choose the banks of registers, once, when the TPM is new (swtpm_setup(8))."""
    banks = backend.active_pcr_banks
    wanted = ",".join(name for name in BANKS if getattr(banks, name))
    argv = [
        *site.identity.prefix, _find(SETUP), "--tpm2", "--tpmstate", str(state), "--pcr-banks", wanted,
        "--not-overwrite", "--config", "/dev/null",
    ]  # fmt: skip
    if backend.encryption is not None and backend.encryption.secret:
        key = _key(backend.encryption.secret, site)
        argv += ["--pwdfile-fd", str(key), "--cipher", CIPHER]
    else:
        key = -1
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=site.log_fd, stderr=site.log_fd, timeout=SETUP_S, check=False,
            pass_fds=(key,) if key >= 0 else (), env={"PATH": PATHS, "HOME": "/", "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        status = -1
    else:
        status = done.returncode
    finally:
        if key >= 0:
            os.close(key)
    if status != 0:
        shutil.rmtree(state, ignore_errors=True)
        raise StartFailed(
            f"the TPM of {site.name} could not be set up with the banks {wanted}",
            remedy="look at the guest's log for what swtpm_setup says", path="/domain/devices/tpm/backend",
        )  # fmt: skip


def _key(uuid: str, site: Site) -> int:
    """Return a descriptor to read the passphrase from, once."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writer, secret_value(uuid, site))
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return reader
