"""Verbs that work with a domain's definition."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Literal

from ...config.errors import InvalidArgument, NoMetadata, OperationFailed, Unsupported
from .context import Context
from .exits import OK
from .lifecycle import FILE, read_xml
from .output import document
from .verb import DOMAIN, Arg, Verb, flag, option, positional

FALLBACK_EDITOR = "vi"


def define(context: Context, options: Namespace) -> int:
    """Define a domain from XML, YAML or JSON."""
    xml = as_xml(read_xml(options.file))
    with context.progress(f"defining {options.file}"):
        record = context.client.domain.define_xml(xml, context.connection, deadline_s=context.deadline_s)
    context.done(record, f"Domain '{record['name']}' defined from {options.file}")
    return OK


def as_xml(text: str) -> str:
    """Return a definition as XML: what does not begin as XML does is YAML or JSON.

    Raises:
        InvalidArgument: it is none of them.
    """
    if text.lstrip("\ufeff \t\r\n")[:1] in ("<", ""):
        return text  # the node reads it, and says what is wrong
    from ...config.domain.document import format
    from ...config.domain.views import domain_of

    return format(domain_of(text), secure=True)


def undefine(context: Context, options: Namespace) -> int:
    """Remove a definition."""
    record = context.client.domain.undefine(
        options.domain, context.connection, options.nvram, options.tpm, deadline_s=context.deadline_s
    )
    context.done(record, f"Domain '{record['name']}' has been undefined")
    return OK


def dumpxml(context: Context, options: Namespace) -> int:
    """Print a domain's XML (or YAML, or JSON)."""
    xml = context.client.domain.get_xml(
        options.domain,
        options.inactive,
        options.security_info,
        context.connection,
        deadline_s=context.deadline_s,
    )
    if options.format != "xml":
        from ...config.domain.views import show

        xml = show(xml, options.format)
    context.show_document(xml, xml, options.format)
    return OK


def edit(context: Context, options: Namespace) -> int:
    """Change a domain's definition in an editor."""
    domain = context.client.domain
    record = domain.lookup(options.domain, context.connection, deadline_s=context.deadline_s)
    xml = domain.get_xml(record["uuid"], inactive=True, secure=True, deadline_s=context.deadline_s)
    before = document(xml, "xml")  # the editor's terminal is one, too
    after = edited(before, record["name"])
    if after.strip() == before.strip():
        context.done(record, f"Domain '{record['name']}' XML configuration not changed")
        return OK
    while True:
        try:
            record = domain.define_xml(after, record["connection"], deadline_s=context.deadline_s)
            break
        except InvalidArgument as error:
            sys.stderr.write(f"error: {error}\n")
            if not sys.stdin.isatty() or input("Edit it again? [y/n] ").strip().lower() not in ("y", "yes"):
                raise
            after = edited(after, record["name"])
    context.done(record, f"Domain '{record['name']}' XML configuration edited")
    return OK


def edited(text: str, name: str) -> str:
    """Return `text` as the user's editor ($VISUAL, $EDITOR, vi) left it.

    Raises:
        OperationFailed: the editor cannot be run, or says that it failed.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK_EDITOR
    safe = "".join(c if c.isalnum() else "-" for c in name)[:40]
    with tempfile.TemporaryDirectory(prefix="mechane-edit-") as folder:  # 0700: the XML may hold secrets
        path = Path(folder) / f"{safe}.xml"
        path.write_text(text, encoding="utf-8")
        try:
            status = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
        except OSError as error:
            raise OperationFailed(
                f"the editor {editor!r} cannot be run: {error.strerror}", remedy="set EDITOR"
            ) from error
        if status:
            raise OperationFailed(f"the editor {editor!r} failed with {status}", remedy="nothing was changed")
        return read_xml(str(path))


def autostart(context: Context, options: Namespace) -> int:
    """Say whether a domain starts with the node."""
    record = context.client.domain.set_autostart(
        options.domain, not options.disable, context.connection, deadline_s=context.deadline_s
    )
    word = "unmarked" if options.disable else "marked"
    context.done(record, f"Domain '{record['name']}' {word} as autostarted")
    return OK


def rename(context: Context, options: Namespace) -> int:
    """Give a domain another name."""
    record = context.client.domain.rename(
        options.domain, options.new_name, context.connection, deadline_s=context.deadline_s
    )
    context.done(record, "Domain successfully renamed")
    return OK


def desc(context: Context, options: Namespace) -> int:
    """Show or set the description or the title."""
    kind: Literal["title", "description"] = "title" if options.title else "description"
    domain = context.client.domain
    if options.live:
        raise Unsupported(
            "a running guest's own description cannot be set alone",
            remedy="leave out --live: the definition is changed, and the running guest with it",
        )
    if not options.new and not options.edit:
        try:
            text = domain.get_metadata(
                options.domain, kind, connection=context.connection, deadline_s=context.deadline_s
            )
        except NoMetadata:
            text = ""
        context.show(text, text or f"No {kind} for domain: {options.domain}")
        return OK
    value = " ".join(options.new)
    if options.edit:
        value = edited(value, options.domain).strip()
    record = domain.set_metadata(
        options.domain, kind, value or None, connection=context.connection, deadline_s=context.deadline_s
    )
    context.done(record, f"Domain {kind} updated successfully")
    return OK


def metadata(context: Context, options: Namespace) -> int:
    """Show, set or remove a metadata element."""
    domain = context.client.domain
    if options.set is None and not options.remove:
        text = domain.get_metadata(
            options.domain, "element", options.uri, context.connection, deadline_s=context.deadline_s
        )
        context.show_document(text, text)
        return OK
    if options.set is not None and not options.key:
        raise InvalidArgument("a metadata element needs a prefix", remedy="add --key NAME", path="--key")
    record = domain.set_metadata(
        options.domain,
        "element",
        None if options.remove else options.set,
        options.uri,
        options.key,
        context.connection,
        deadline_s=context.deadline_s,
    )
    context.done(record, "Metadata removed" if options.remove else "Metadata modified")
    return OK


def _kept(kind: str, what: str) -> tuple[Arg, Arg]:
    """Return the switches that say what becomes of a kind of state that outlives a definition."""
    chosen = {"dest": kind, "action": "store_const"}
    return (
        Arg((f"--{kind}",), {**chosen, "const": "remove", "help": f"remove {what} for good"}),
        Arg((f"--keep-{kind}",), {**chosen, "const": "keep", "help": f"keep {what} for a later domain of this UUID"}),
    )


_CONFIG = flag("--config", "change the definition (the default)")
VERBS = (
    Verb("define", "Define a domain from an XML, YAML or JSON file, or replace its definition.", define, (FILE,)),
    Verb("undefine", "Remove a definition; a running guest becomes transient.", undefine,
         (DOMAIN, *_kept("nvram", "UEFI variables"), *_kept("tpm", "the TPM's state"))),
    Verb(
        "dumpxml", "Print a domain's XML (or YAML, or JSON).", dumpxml,
        (
            DOMAIN,
            flag("--inactive", "the definition for the next start, also while the guest runs"),
            flag("--security-info", "with passwords and keys"),
            option("--format", "FORMAT", "xml, yaml or json", choices=["xml", "yaml", "json"], default="xml"),
        ),
    ),
    Verb("edit", "Change a domain's definition in an editor.", edit, (DOMAIN,)),
    Verb("autostart", "Start a domain with the node, or no longer.", autostart,
         (DOMAIN, flag("--disable", "no longer"))),
    Verb("domrename", "Give a domain that does not run another name.", rename,
         (DOMAIN, positional("new_name", "the name it shall have", metavar="NEW-NAME"))),
    Verb(
        "desc", "Show or set a domain's description or title.", desc,
        (
            DOMAIN,
            positional("new", "the new text; shows the text when left out", metavar="TEXT", nargs="*"),
            flag("--title", "the title instead of the description"),
            flag("--edit", "in an editor"),
            _CONFIG,
            flag("--live", "change the running guest"),
        ),
    ),
    Verb(
        "metadata", "Show, set or remove a domain's metadata element.", metadata,
        (
            DOMAIN,
            positional("uri", "namespace of the element", metavar="URI"),
            option("--set", "XML", "the new element"),
            option("--key", "PREFIX", "the namespace's prefix"),
            flag("--remove", "remove it"),
            _CONFIG,
        ),
    ),
)  # fmt: skip
