"""Arguments are checked against the declarations, and refusals say where, what and what to do."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import InvalidArgument
from mechane.protocol.catalogue import Argument, CallSpec, ConnectionRef, DomainRef, Place, Priority, load
from mechane.protocol.validation import LONGEST_DEADLINE_S, Reserved, compile_all, compile_call, split_reserved

CATALOGUE = load()
CHECKS = compile_all(CATALOGUE)
REQUIRED = object()


def spec(**arguments: tuple[Any, ...]) -> CallSpec:
    """Declare a call: name=(annotation, default or REQUIRED, doc)."""
    return CallSpec(
        name="test.call", on=Place.NODE, priority=Priority.LOW, permission="none", conditions=(), filter=None,
        libvirt=(), idempotent=False, read_only=False, deadline="query", streams=False, summary="", doc="",
        arguments={
            name: Argument(
                name=name, annotation=rest[0], required=len(rest) < 2 or rest[1] is REQUIRED,
                default=None if len(rest) < 2 or rest[1] is REQUIRED else rest[1],
                doc=rest[2] if len(rest) > 2 else "something",
            )
            for name, rest in arguments.items()
        },
    )  # fmt: skip


def refusal(check: Any, **arguments: object) -> dict[str, Any]:
    with pytest.raises(InvalidArgument) as caught:
        check(arguments)
    assert caught.value.remedy
    return {"message": caught.value.message, "remedy": caught.value.remedy, **caught.value.details}


def test_defaults_are_filled_in() -> None:
    assert CHECKS["domain.start"]({"domain": "web"}) == {
        "domain": "web", "paused": False, "autodestroy": False, "connection": None,
    }  # fmt: skip


def test_the_callers_map_is_left_alone() -> None:
    given_map = {"domain": "web"}
    CHECKS["domain.start"](given_map)
    assert given_map == {"domain": "web"}


def test_every_call_of_the_catalogue_compiles_and_takes_its_defaults() -> None:
    samples = {
        "domain": "d", "xml": "<domain/>", "name": "n", "uuid": "u", "id": 1, "states": ["running"],
        "client": 1, "subscription": 1, "limits": {}, "level": "info", "type": "title", "value": "v",
        "new_name": "n", "path": "/p", "device": "<rng/>", "count": 1, "memory_kib": 1024,
        "autostart": True, "command": "c",
        "documents": [],
        "argv": ["true"],
    }  # fmt: skip
    for call in CATALOGUE:
        required = {name: samples[name] for name, argument in call.arguments.items() if argument.required}
        assert set(CHECKS[call.name](required)) == set(call.arguments)


def test_missing() -> None:
    error = refusal(CHECKS["domain.start"])
    assert error["path"] == "params.domain" and "domain" in error["message"]


def test_unknown_names_the_nearest() -> None:
    error = refusal(CHECKS["domain.start"], domain="a", pused=True)
    assert error["path"] == "params.pused" and error["remedy"] == "did you mean paused?"
    assert "paused" in error["allowed"]
    assert "takes no arguments" in refusal(CHECKS["connection.list"], x=1)["remedy"]


WRONG: list[tuple[str, str, object]] = [
    ("domain.exec", "stdin", "text"), ("domain.exec", "argv", ["a", b"b"]), ("domain.exec", "argv", ["a\0b"]),
    ("domain.open_exec", "rows", 0), ("domain.open_exec", "columns", 10001),
    ("domain.start", "domain", 5), ("domain.start", "domain", None), ("domain.start", "domain", b"bytes"),
    ("domain.start", "domain", "a\0b"), ("domain.start", "domain", "x" * 1025), ("domain.start", "domain", ("a",)),
    ("domain.start", "paused", 1), ("domain.start", "paused", "true"), ("domain.start", "paused", None),
    ("domain.lookup_by_id", "id", True), ("domain.lookup_by_id", "id", 1.0), ("domain.lookup_by_id", "id", "1"),
    ("domain.lookup_by_id", "id", 1 << 64), ("domain.list", "limit", 0), ("domain.list", "limit", 100001),
    ("domain.list", "states", "running"), ("domain.list", "states", ("running", 5)), ("domain.list", "states", {}),
    ("domain.destroy", "grace_s", -1), ("domain.destroy", "grace_s", 61), ("domain.destroy", "grace_s", True),
    ("domain.destroy", "grace_s", float("nan")), ("domain.destroy", "grace_s", float("inf")),
    ("node.set_log_level", "level", "loud"), ("node.set_log_level", "level", ("info",)),
    ("node.set_limits", "limits", []), ("node.set_limits", "limits", {"a": {b"k": 1}}),
    ("session.ping", "data", "x" * 4097), ("domain.define_xml", "xml", "x" * (512 * 1024 + 1)),
    ("domain.shutdown", "mode", "ask nicely"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "argument", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_wrong_values_name_the_field(call: str, argument: str, value: object) -> None:
    error = refusal(CHECKS[call], **{argument: value})
    assert error["path"].startswith(f"params.{argument}")
    assert error["allowed"] and len(str(error["value"])) < 200
    assert error["path"] in error["message"]


@pytest.mark.parametrize(
    ("call", "argument", "value", "got"),
    [
        ("domain.destroy", "grace_s", 0, 0.0), ("domain.destroy", "grace_s", None, None),
        ("domain.list", "limit", 100000, 100000), ("domain.list", "states", ("a", "b"), ["a", "b"]),
        ("session.ping", "data", "x" * 4096, "x" * 4096), ("node.set_limits", "limits", {"a": 1}, {"a": 1}),
        ("domain.define_xml", "xml", "x" * 512 * 1024, "x" * 512 * 1024),
        ("domain.attach_device", "device", "x" * 512 * 1024, "x" * 512 * 1024),
        ("domain.detach_device", "device", "x" * 2000, "x" * 2000),
        ("domain.update_device", "device", "x" * 2000, "x" * 2000),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_right_values(call: str, argument: str, value: object, got: object) -> None:
    required = {} if argument in ("limit", "states", "data", "limits", "xml") else {"domain": "d"}
    assert CHECKS[call]({**required, argument: value})[argument] == got


def test_annotations_of_all_kinds() -> None:
    check = compile_call(
        spec(a=(DomainRef,), b=(ConnectionRef | None, None), c=(dict[str, Any], None), d=(Any, None),
             e=(Literal["x", "y"], "x"), f=(int, 3, "a number, 1 to 5"), g=(list[int] | None, None)),
    )  # fmt: skip
    checked = check({"a": "d", "c": {"k": ({"l": ()},)}, "d": ((1, 2.5, None, b"x"),), "g": (1, 2)})
    assert checked == {
        "a": "d", "b": None, "c": {"k": [{"l": []}]}, "d": [[1, 2.5, None, b"x"]], "e": "x", "f": 3, "g": [1, 2],
    }  # fmt: skip
    assert refusal(check, a="d", f=6)["allowed"] == "a whole number from 1 to 5"
    assert refusal(check, a="d", g=(1, "2"))["path"] == "params.g[1]"
    assert refusal(check, a="d", c={"k": "a\0"})["path"] == "params.c.k"
    assert refusal(check, a="d", e="z")["allowed"] == ["x", "y"]


def test_deep_data_is_refused_without_recursion_trouble() -> None:
    check = compile_call(spec(d=(Any, None)))
    value: object = 1
    for _ in range(900):
        value = (value,)
    assert "32 levels" in refusal(check, d=value)["message"]


def test_an_annotation_nobody_knows_fails_at_compile_time() -> None:
    with pytest.raises(TypeError):
        compile_call(spec(a=(set[int],)))


def test_reserved_arguments_are_split_off() -> None:
    own = {"domain": "a"}
    assert split_reserved(own) == (own, Reserved())
    behalf = {"uid": 5}
    assert split_reserved({"domain": "a", "deadline_s": 5, "request_id": "r", "node": "n", "on_behalf_of": behalf}) == (
        {"domain": "a"}, Reserved(deadline_s=5.0, request_id="r", node="n", on_behalf_of=behalf),
    )  # fmt: skip


@pytest.mark.parametrize(
    "reserved",
    [
        {"deadline_s": 0}, {"deadline_s": -1}, {"deadline_s": 86400.5}, {"deadline_s": True},
        {"deadline_s": "5"}, {"deadline_s": float("nan")}, {"request_id": 5}, {"request_id": "x" * 300},
        {"node": b"n"}, {"on_behalf_of": "root"},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_reserved_arguments(reserved: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        split_reserved(reserved)
    assert caught.value.details["path"] == f"params.{next(iter(reserved))}"


def test_the_longest_deadline() -> None:
    assert split_reserved({"deadline_s": LONGEST_DEADLINE_S})[1].deadline_s == LONGEST_DEADLINE_S


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner).map(tuple), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(call=st.sampled_from(sorted(CHECKS)), arguments=st.dictionaries(st.text(), PLAIN, max_size=3))
def test_whatever_comes_is_taken_or_refused(call: str, arguments: dict[str, Any]) -> None:
    known = sorted(CATALOGUE[call].arguments)
    arguments = {known[len(name) % len(known)] if known else name: value for name, value in arguments.items()}
    try:
        checked = CHECKS[call](arguments)
    except InvalidArgument as error:
        assert error.details["path"].startswith("params.") and str(error)
    else:
        assert list(checked) == list(CATALOGUE[call].arguments)
