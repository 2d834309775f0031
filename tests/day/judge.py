"""Judge the comparator: what is dropped from one of two documents that mean the same must be found."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mechane.config.xml.node import XmlNode
from mechane.config.xml.reader import read
from mechane.config.xml.writer import to_text
from mechane.tests.day.meaning import differences

SEED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How many mutations were found, and what the others dropped."""

    tried: int
    found: int
    missed: Counter[str]

    @property
    def share(self) -> float:
        """Return the share of what was found."""
        return self.found / self.tried if self.tried else 0.0


def judge(pairs: Sequence[tuple[str, str]], times: int = 1000, seed: int = SEED) -> Verdict:
    """Drop an element or an attribute, anywhere in either document of a pair, so many times, and compare.

    Args:
        pairs: libvirt's document and the node's, which mean the same.
        times: how many mutations.
        seed: of the random choices.
    """
    chance = random.Random(seed)
    missed: Counter[str] = Counter()
    for _ in range(times):
        pair = list(chance.choice(pairs))
        side = chance.randrange(2)
        pair[side], dropped = drop(pair[side], chance)
        if not differences(pair[0], pair[1]):
            missed[f"{('libvirt', 'node')[side]}: {dropped}"] += 1
    return Verdict(tried=times, found=times - missed.total(), missed=missed)


def drop(document: str, chance: random.Random) -> tuple[str, str]:
    """Return the document without one of its elements or attributes, and what that was."""
    root = read(document)
    places: list[tuple[XmlNode, XmlNode | str, str]] = []
    walk = [(root, root.key)]
    while walk:
        node, path = walk.pop()
        places += [(node, name, f"{path}/@{name}") for name in node.attrs if not name.startswith("xmlns")]
        places += [(node, child, f"{path}/{child.key}") for child in node.children]
        walk += [(child, f"{path}/{child.key}") for child in node.children]
    node, what, path = chance.choice(places)
    if isinstance(what, str):
        del node.attrs[what]
    else:
        node.children = [child for child in node.children if child is not what]
    return to_text(root), path
