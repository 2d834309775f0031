"""Choose the model that comes nearest to a set of features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ....config.errors import ConfigUnsupported
from .models import Processor, ProcessorModel, ProcessorTable
from .names import UNMIGRATABLE, vendor_shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model, and how what was wanted differs from it."""

    model: ProcessorModel
    vendor: str
    require: frozenset[str]
    disable: frozenset[str]

    @property
    def policies(self) -> dict[str, str]:
        """Return the difference as XML says it."""
        return dict.fromkeys(self.require, "require") | dict.fromkeys(self.disable, "disable")

    @property
    def expanded(self) -> dict[str, str]:
        """Return the policies with all features of the model spelt out."""
        return dict.fromkeys(self.model.features, "require") | self.policies


def closest(wanted: Processor, table: ProcessorTable, preferred: Iterable[str] = ()) -> Choice:
    """Return the model that needs the fewest features added or taken away.

    A model of the same vendor comes before all others. Of models that are equally near the preferred ones come
    first, then those that need fewer features taken away, that are not deprecated, then the name decides.

    Args:
        wanted: what the result shall be made of.
        table: the models to choose from.
        preferred: names of models that somebody has named already.

    Raises:
        ConfigUnsupported: there is no model.
    """
    liked = frozenset(preferred)
    switched = table.switched

    def distance(model: ProcessorModel) -> tuple[bool, int, bool, int, bool, str]:
        foreign = bool(wanted.vendor) and model.vendor != wanted.vendor
        missing = model.features - wanted.features
        extra = wanted.features - model.features - switched
        return (foreign, len(extra) + len(missing), model.name not in liked, len(missing), model.deprecated, model.name)

    candidates = [*table.named, *(item for item in table.models if item.name in liked)]
    if not candidates:
        raise ConfigUnsupported("the emulator has no CPU models", remedy="use another emulator", path="")
    model = min(candidates, key=distance)
    return Choice(
        model=model, vendor=wanted.vendor, require=wanted.features - model.features - switched,
        disable=model.features - wanted.features,
    )  # fmt: skip


def contained(wanted: Processor, table: ProcessorTable) -> Choice:
    """Return the nearest of the models that have nothing more, as a host is described: it lacks nothing of its model.

    Raises:
        ConfigUnsupported: there is no model.
    """
    less = tuple(item for item in table.models if item.features <= wanted.features)
    return closest(wanted, replace(table, models=less) if less else table)


def common(processors: Sequence[Processor], *, migratable: bool) -> Processor:
    """Return what all processors have.

    Args:
        processors: at least one.
        migratable: leave out features with which a guest cannot be migrated.

    Raises:
        ConfigUnsupported: they are of different vendors.
    """
    vendors = sorted({item.vendor for item in processors if item.vendor})
    if len(vendors) > 1:
        raise ConfigUnsupported(
            f"CPU vendors do not match: {', '.join(vendor_shown(name) for name in vendors)}",
            remedy="ask for a baseline of the hosts of one vendor", path="params.documents", value=vendors,
        )  # fmt: skip
    features = frozenset.intersection(*(item.features for item in processors))
    return Processor(vendor=vendors[0] if vendors else "", features=features - UNMIGRATABLE if migratable else features)
