#!/usr/bin/env python3
"""A double of VMware's vmrest (Workstation Pro 17, Fusion Pro 13): guests and their power states over HTTP.

Modelled on the public reference of the Workstation Pro REST API 1.3 (paths, media type, Basic authentication,
power_state words) and vmrest's options (-p port, -i address, -d debug). It serves the same state as the
double of vmrun: DOUBLE_HOME is its home, DOUBLE_VMS the folder of .vmx files it has registered. The commands
that a test can make misbehave are called `vms` and `power`. The password is in DOUBLE_PASSWORD, user:password.
"""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from doubles import Double, Failure, read_json

MEDIA_TYPE = "application/vnd.vmware.vmw.rest-v1+json"


def known():
    """Return the registered .vmx files by id."""
    files = sorted(pathlib.Path(os.environ["DOUBLE_VMS"]).glob("*/*.vmx"))
    return {hashlib.sha256(str(path).encode()).hexdigest()[:32].upper(): str(path) for path in files}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer the two questions that there are."""
        word = base64.b64encode(os.environ.get("DOUBLE_PASSWORD", "").encode()).decode()
        if self.headers.get("Authorization") != f"Basic {word}":
            self.answer(401, {"Code": 401, "Message": "Authentication failed"})
            return
        machines = known()
        parts = self.path.strip("/").split("/")
        if parts == ["api", "vms"]:
            self.misbehave("vms")
            self.answer(200, [{"id": id, "path": path} for id, path in machines.items()])
        elif parts[:2] == ["api", "vms"] and parts[3:] == ["power"] and parts[2] in machines:
            self.misbehave("power")
            self.answer(200, {"power_state": self.state(machines[parts[2]])})
        else:
            self.answer(404, {"Code": 100, "Message": "The resource is not found"})

    def state(self, path):
        """Return the word for a guest."""
        guest = read_json(os.path.join(os.environ["DOUBLE_HOME"], "state.json")).get("guests", {}).get(path)
        if guest is not None:
            return "paused" if guest["paused"] else "poweredOn"
        kept = re.search(r'(?m)^checkpoint\.vmState = "(.+)"', pathlib.Path(path).read_text())
        return "suspended" if kept else "poweredOff"

    def misbehave(self, command):
        """Do what the control file says."""
        for rule in read_json(os.path.join(os.environ["DOUBLE_HOME"], "control.json")).get("rules", []):
            if rule["command"] == command and rule["what"] == "half_line":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'[{"id": "')
                self.wfile.flush()
                self.connection.close()
                raise ConnectionAbortedError
        try:
            with Double("vmrest") as double:
                double.misbehave(command)
        except Failure as failure:
            self.answer(failure.status, {"Code": failure.status, "Message": str(failure)})
            raise ConnectionAbortedError from failure

    def answer(self, status, value):
        """Send JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", MEDIA_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        """Serve a connection; one that ends early is nobody's trouble."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *words):
        """Say nothing."""


def main(argv):
    """Serve until the end."""
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    if set(options) - {"-p", "-i"}:
        print(f"flag provided but not defined: {min(set(options) - {'-p', '-i'})}\nUsage of vmrest:", file=sys.stderr)
        sys.exit(2)
    server = http.server.ThreadingHTTPServer((options.get("-i", "127.0.0.1"), int(options.get("-p", "8697"))), Handler)
    server.daemon_threads = True
    print(f"VMware Workstation REST API\nServing HTTP on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
