"""A certificate authority of openssl's command line in a folder, as strict clients want it (RFC 5280).

What it issues passes VERIFY_X509_STRICT, which Python sets by default since 3.13: authorities say what their key is
for, certificates name the key that signed them.
"""

import socket
import ssl
import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CONFIG = """
[ca]
default_ca = d
[d]
database = {folder}/{name}.index
new_certs_dir = {folder}
serial = {folder}/{name}.serial
certificate = {folder}/{name}.crt
private_key = {folder}/{name}.key
default_md = sha256
default_days = 30
default_crl_days = 30
crlnumber = {folder}/{name}.crlnumber
unique_subject = no
policy = anything
[anything]
organizationName = optional
organizationalUnitName = optional
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[node]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1,DNS:localhost
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """Issues and revokes; files are NAME.crt, NAME.key and, for revocations, NAME.crl of the authority."""

    def __init__(self, folder: Path, name: str = "ca", subject: str = "") -> None:
        self.folder, self.name = folder, name
        for file, text in (("index", ""), ("serial", "1000\n"), ("crlnumber", "01\n")):
            (folder / f"{name}.{file}").write_text(text)
        self.config = folder / f"{name}.cnf"
        self.config.write_text(_CONFIG.format(folder=folder, name=name))
        self.run("req", "-x509", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "30",
                 "-subj", subject or f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip

    def run(self, *words: str) -> None:
        """Run openssl in the folder."""
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def issue(self, name: str, subject: str = "", *, kind: str = "leaf", dates: tuple[str, str] | None = None) -> None:
        """Make a key and its certificate.

        Args:
            name: of the files.
            subject: its distinguished name; left out: the name alone.
            kind: leaf, node (for 127.0.0.1) or authority (one below this one).
            dates: from and until, as openssl's ca takes them (YYYYMMDDHHMMSSZ).
        """
        self.run("req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject or f"/CN={name}")
        when = ("-startdate", dates[0], "-enddate", dates[1]) if dates else ()
        self.run("ca", "-batch", "-config", str(self.config), "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext",
                 "-extensions", kind, *when)  # fmt: skip

    def revoke(self, name: str) -> None:
        """Revoke a certificate; the list says so when it is written next."""
        self.run("ca", "-config", str(self.config), "-revoke", f"{name}.crt")

    def write_list(self, file: str = "", *dates: str) -> Path:
        """Write the revocation list; `dates`: words such as -crl_lastupdate and its value."""
        path = self.folder / (file or f"{self.name}.crl")
        fresh = path.with_suffix(".new")
        self.run("ca", "-config", str(self.config), "-gencrl", "-out", str(fresh), *dates)
        fresh.replace(path)
        return path

    def context(self, name: str | None) -> ssl.SSLContext:
        """Return the context of a client that checks strictly, with a certificate or without."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.load_verify_locations(self.folder / "ca.crt")
        if name:
            context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
