"""What two xl.cfg files differ in, by their settings: `type` and the older `builder` are one."""

from mechane.hypervisors.xen import cfg
from mechane.hypervisors.xen.machine import kind_of


def meaning(text: str) -> dict[str, object]:
    """Return the settings, with one spelling of the type; an absent one is pv (xl.cfg(5))."""
    settings = cfg.parse(text)
    plain = {name: value for name, value in settings.items() if name not in ("type", "builder")}
    return {**plain, "type": kind_of(settings)}


def differences(got: str, wanted: str) -> list[str]:
    """Return each setting that differs."""
    ours, theirs = meaning(got), meaning(wanted)
    return [
        f"{name}: {ours.get(name)!r} instead of {theirs.get(name)!r}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
