"""From docstrings to arguments, whoever indents them."""

import inspect

import pytest

from mechane.protocol.signatures import spec_of

DECLARED = {
    "on": None, "priority": None, "permission": "none", "conditions": (), "filter": None, "libvirt": (),
    "idempotent": False, "read_only": False, "deadline": "query", "streams": False,
}  # fmt: skip


def domain_example(domain: str, grace_s: float = 2.0) -> None:
    """Say what it does.

    More of it.

    Args:
        domain: the first one,
            which goes on in a second line.
        grace_s: the second one.

    Raises:
        OSError: never.
    """


def stripped_of_its_indentation() -> str:
    return inspect.cleandoc(domain_example.__doc__ or "")


@pytest.mark.parametrize("by_the_compiler", [False, True], ids=["as written", "as Python 3.13 strips it"])
def test_arguments_are_read_whoever_strips_the_indentation(
    by_the_compiler: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_the_compiler:
        monkeypatch.setattr(domain_example, "__doc__", stripped_of_its_indentation())
    arguments = spec_of(domain_example, DECLARED).arguments
    assert {name: argument.doc for name, argument in arguments.items()} == {
        "domain": "the first one, which goes on in a second line.", "grace_s": "the second one.",
    }  # fmt: skip


def test_an_argument_without_a_line_is_a_mistake() -> None:
    def domain_undocumented(domain: str) -> None:
        """Say nothing of it."""

    with pytest.raises(TypeError, match="argument domain lacks"):
        spec_of(domain_undocumented, DECLARED)
