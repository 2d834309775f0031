"""The same for several domains: one that fails keeps no other from its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...config.errors import ConnectionLost, MechaneError
from . import exits

if TYPE_CHECKING:
    from .context import Context


def each(names: Sequence[str], do: Callable[[str], None], context: Context) -> int:
    """Do something for each name, and go on after an error, which is said at once.

    Args:
        names: the domains.
        do: what to do; prints what it did.
        context: for the form in which errors are said.

    Returns: 0, the exit code of the one that failed, or 1 where several did.

    Raises:
        ConnectionLost: nobody is there to ask any more.
        MechaneError: there is one name only, and that failed.
    """
    from .main import say

    codes = []
    for name in names:
        try:
            do(name)
        except ConnectionLost:
            raise
        except MechaneError as error:
            if len(names) == 1:
                raise
            say(error, context.json)
            codes.append(exits.code_of(error))
    return codes[0] if len(codes) == 1 else exits.FAILED if codes else exits.OK
