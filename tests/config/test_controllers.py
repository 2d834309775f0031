"""Controllers without an index: the lowest free one, and one for all parts of a USB 2 controller (libvirt 9.0's rule).

Expected numbers are those that libvirt 9.0 wrote back for the same definitions.
"""

from itertools import permutations

import pytest

from mechane.config.domain.completion import complete
from mechane.config.domain.document import parse
from mechane.config.domain.validation import validate

PARTS = ("ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3")


def numbered(*controllers: str) -> list[tuple[int | None, str | None]]:
    """Return index and model of each; a controller is written 'model' or 'model index'."""
    made = ""
    for written in controllers:
        model, _, index = written.partition(" ")
        made += f"<controller type='usb' model='{model}'" + (f" index='{index}'/>" if index else "/>")
    domain = complete(parse(
        "<domain type='qemu'><name>u</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os>"
        f"<devices>{made}</devices></domain>"
    ))  # fmt: skip
    validate(domain)
    return [(item.index, item.model) for item in domain.devices.controllers]


@pytest.mark.parametrize("order", list(permutations(PARTS)), ids=lambda order: "-".join(p[5:] for p in order))
def test_the_parts_of_a_usb_2_controller_share_an_index_in_any_order(order: tuple[str, ...]) -> None:
    """virt-install writes them without one, for 111 of the 158 systems that osinfo knows by a USB 2 controller."""
    assert numbered(*order) == [(0, model) for model in order]


@pytest.mark.parametrize(
    ("written", "indexes"),
    [
        ((*PARTS, *PARTS), [0, 0, 0, 0, 1, 1, 1, 1]),
        (("ich9-ehci1", "ich9-uhci1", "qemu-xhci", "ich9-uhci2"), [0, 0, 1, 2]),
        (("ich9-ehci1 0", "qemu-xhci", "ich9-uhci3", "ich9-uhci1", "piix3-uhci 3"), [0, 1, 2, 2, 3]),
        (("ich9-ehci1", "ich9-uhci3 0", "ich9-uhci1", "ich9-uhci2"), [1, 0, 0, 0]),
        (("ich9-ehci1 2", "ich9-uhci2", "ich9-uhci1 0", "ich9-uhci3", "ich9-uhci1", "ich9-ehci1", "ich9-uhci3"),
         [2, 2, 0, 2, 2, 1, 1]),
    ],
)  # fmt: skip
def test_groups_beside_other_controllers_are_numbered_as_libvirt_does(
    written: tuple[str, ...], indexes: list[int]
) -> None:
    assert [index for index, _ in numbered(*written)] == indexes
