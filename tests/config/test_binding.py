"""The binding layer by itself: every kind of field, unknown content, values as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechane.config.errors import XmlError
from mechane.config.xml.binding import Element, bind, write
from mechane.config.xml.children import child, children, optional
from mechane.config.xml.convert import (
    BITMAP,
    BYTES,
    KIB,
    MAC,
    ON_OFF,
    UUID,
    YES_NO,
    based,
    bitmap_to_set,
    integer,
    words,
)
from mechane.config.xml.fields import Space, View, attr, body, flag, text, texts
from mechane.config.xml.reader import read
from mechane.config.xml.survey import count_unknown, declared, differences, list_unknown, path_of, secret_paths, walk

SPACE = Space("urn:extra", "x")


class Place(Element, select="type"):
    type: str = attr("type", default="", required=True)


class Hall(Place, variant="hall"):
    seats: int | None = attr("seats", based(4, 0xFFFF))


class Street(Place, variant=("street", "road")):
    name: str | None = attr("name")


class Actor(Element, change="re-create"):
    role: str | None = attr("role", words("hero", "chorus"))
    mask: bool = flag("mask")
    size: int | None = attr("size", KIB)
    place: Place | None = optional("place", Place, last=True)


class Crane(Actor):
    load: int | None = text("load", BYTES)
    pulled: bool | None = attr("pulled", YES_NO, change="live")


class Play(Element):
    title: str = text("title", default="", required=True)
    secret: str | None = attr("secret", secret=True)
    number: int = attr("number", integer(-5, 5), default=0)
    now: str | None = text("now", live_only=True)
    crane: Crane = child("crane", Crane)
    actors: list[Actor] = children("actor", Actor)
    lines: list[str] = texts("line")
    encore: Play | None = optional("encore", "self")
    extra: Actor | None = optional("actor", Actor, space=SPACE)
    note: str | None = body()


def play(xml: str) -> Play:
    return bind(Play, read(xml), "play")


def test_every_kind_of_field_is_read_and_written() -> None:
    xml = (
        "<play number='3' xmlns:x='urn:extra'>\n  <title>Medea</title>\n  <crane pulled='yes'>\n"
        "    <load unit='bytes'>2048</load>\n    <place type='hall' seats='0x0014'/>\n  </crane>\n"
        "  <actor role='hero' size='1024' unit='KiB'>\n    <mask/>\n  </actor>\n  <actor/>\n"
        "  <line>a</line>\n  <line/>\n  <encore>\n    <title>Io</title>\n  </encore>\n"
        "  <x:actor role='chorus'/>\n</play>\n"
    )
    model = play(xml)
    assert (model.number, model.crane.load, model.crane.pulled) == (3, 2048, True)
    assert isinstance(model.crane.place, Hall)
    assert model.crane.place.seats == 20
    assert [a.size for a in model.actors] == [1024, None]
    assert model.lines == ["a", ""]
    assert model.encore is not None
    assert model.encore.title == "Io"
    assert write(model, "play") == xml


def test_defaults_take_no_room() -> None:
    model = play("<play><title/></play>")
    assert (model.number, model.secret, model.actors, model.crane.mask) == (0, None, [], False)
    assert write(model, "play") == "<play>\n  <title/>\n</play>\n"
    assert model == play("<play><title/></play>") == Play(title="")
    assert not model.given("actors")


def test_unknown_content_is_kept_in_order_and_reported() -> None:
    xml = (
        "<play z='1'><title lang='el'>T<i/>u</title><b/><actor q='2'><c>d</c></actor><actor/><b><e f='g'/></b>"
        "<title>second</title>stray</play>"
    )
    model = play(xml)
    assert list_unknown(model, "/play") == [
        "/play/@z", "/play/b[1]", "/play/b[2]", "/play/title", "/play/text()", "/play/title/@lang", "/play/title/i",
        "/play/actor[1]/@q", "/play/actor[1]/c",
    ]  # fmt: skip
    assert count_unknown(model) == len(list_unknown(model, "/play"))
    again = play(write(model, "play"))
    assert again == model
    assert write(again, "play") == write(model, "play")
    assert model != play("<play><title>T</title><actor/><actor/></play>")


@pytest.mark.parametrize(
    ("xml", "path", "value"),
    [
        ("<play/>", "/play/title", None),
        ("<play number='6'><title/></play>", "/play/@number", "6"),
        ("<play number='1_0'><title/></play>", "/play/@number", "1_0"),
        ("<play number='²'><title/></play>", "/play/@number", "²"),
        ("<play><title/><actor/><actor role='villain'/></play>", "/play/actor[2]/@role", "villain"),
        ("<play><title/><actor size='-1'/></play>", "/play/actor/@size", "-1"),
        ("<play><title/><actor size='1' unit='stone'/></play>", "/play/actor/@size", "1"),
        ("<play><title/><actor size='99999999999' unit='EiB'/></play>", "/play/actor/@size", "99999999999"),
        ("<play><title/><crane><load>heavy</load></crane></play>", "/play/crane/load", "heavy"),
        ("<play><title/><crane><place type='sea'/></crane></play>", "/play/crane/place/@type", "sea"),
        ("<play><title/><crane><place/></crane></play>", "/play/crane/place/@type", None),
        (
            "<play><title/><crane><place type='hall' seats='0x10000'/></crane></play>",
            "/play/crane/place/@seats",
            "0x10000",
        ),
        ("<play xmlns:x='urn:other'><title/></play>", "/play/@xmlns:x", "urn:other"),
        ("<game/>", "/game", "game"),
    ],
)
def test_refusals_name_path_value_and_what_is_allowed(xml: str, path: str, value: str | None) -> None:
    with pytest.raises(XmlError) as caught:
        play(xml)
    assert caught.value.details["path"] == path
    assert caught.value.details["value"] == value


def test_secrets_and_live_facts_are_left_out() -> None:
    model = play("<play secret='s' password='p'><title/><now>here</now><u passwd='q'><password>r</password></u></play>")
    shown = write(model, "play", View(secure=False, live=False))
    assert shown == "<play>\n  <title/>\n  <u>\n    <password/>\n  </u>\n</play>\n"
    everything = write(model, "play")
    assert all(f"{word}" in everything for word in ("'s'", "'p'", "'q'", ">r<", "here"))
    assert secret_paths(Play, "/play") == ["/play/@secret"]


def test_an_own_prefix_for_a_known_namespace() -> None:
    model = play("<play xmlns:alt='urn:extra'><title/><alt:actor role='hero'/></play>")
    assert model.extra is not None
    assert model.extra.role == "hero"
    assert "<x:actor role='hero'/>" in write(model, "play")
    assert "alt" not in write(model, "play")
    kept = play("<play xmlns:alt='urn:extra'><title/><alt:actor/><alt:other/></play>")
    assert play(write(kept, "play")) == kept


def test_copies_are_of_their_own() -> None:
    model = play("<play><title>a</title><crane/><actor/><b/></play>")
    copy = model.copy()
    assert copy == model
    copy.actors[0].role = "hero"
    copy.crane.mask = True
    assert not model.crane.mask
    assert model.actors[0].role is None
    assert {d.path: (d.before, d.after, d.change) for d in differences(model, copy, "/play")} == {
        "/play/crane/mask": (None, True, "re-create"),
        "/play/actor[1]/@role": (None, "hero", "re-create"),
    }


def test_fields_say_when_they_change() -> None:
    changes = {path: field.change for path, field in declared(Play, "/play")}
    assert changes["/play/title"] == "next_boot"
    assert changes["/play/actor/@role"] == "re-create"
    assert changes["/play/crane/@pulled"] == "live"
    assert changes["/play/crane/load"] == "next_boot"


def test_paths_of_parts() -> None:
    model = play("<play><title/><actor/><actor/></play>")
    assert path_of(model, model.actors[1], "/play") == "/play/actor[2]"
    assert [path for path, _ in walk(model, "/play")] == ["/play", "/play/actor[1]", "/play/actor[2]"]


def test_constructing_refuses_unknown_names() -> None:
    with pytest.raises(TypeError, match="no field 'rle'"):
        Actor(rle="hero")  # type: ignore[call-arg]  # the mistake under test
    assert write(Street(name="a"), "place") == "<place type='street' name='a'/>\n"


@pytest.mark.parametrize(
    ("converter", "raw", "value"),
    [
        (UUID, " C7A5FDBDEDAF9455926AD65C16DB1809 ", "c7a5fdbd-edaf-9455-926a-d65c16db1809"),
        (MAC, "52:54:0:AB:cd:1", "52:54:00:ab:cd:01"),
        (based(2, 255), "0x0a", 10),
        (based(2, 255), "010", 8),
        (based(2, 255), "10", 10),
        (ON_OFF, "off", False),
        (BITMAP, " 0-3, ^2 ,8", "0-1,3,8"),
    ],
)
def test_converters(converter: object, raw: str, value: object) -> None:
    assert converter.parse(raw) == value  # type: ignore[attr-defined]  # a Converter


@pytest.mark.parametrize(
    ("number", "unit", "kib"),
    [
        ("1", None, 1),
        ("1", "b", 1),
        ("1025", "bytes", 2),
        ("1", "KB", 1),
        ("1", "MB", 977),
        ("2", "g", 2097152),
        ("1", "TiB", 1 << 30),
    ],
)
def test_sizes_are_rounded_up_to_kib(number: str, unit: str | None, kib: int) -> None:
    assert KIB.parse_unit(number, unit) == kib


def test_cpu_lists() -> None:
    assert bitmap_to_set("0-3,^2,8") == {0, 1, 3, 8}


_words = st.sampled_from(["hero", "chorus"])
_plain = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=6
)


@st.composite
def actors(draw: st.DrawFn, cls: type[Actor] = Actor) -> Actor:
    actor = cls(mask=draw(st.booleans()))
    actor.role = draw(st.none() | _words)
    actor.size = draw(st.none() | st.integers(0, 2**40))
    actor.place = draw(
        st.none()
        | st.builds(lambda n: Hall(seats=n), st.integers(0, 65535))
        | st.builds(lambda s: Street(name=s), _plain)
    )
    if isinstance(actor, Crane):
        actor.load = draw(st.none() | st.integers(0, 2**60))
        actor.pulled = draw(st.none() | st.booleans())
    return actor


@st.composite
def plays(draw: st.DrawFn, depth: int = 2) -> Play:
    model = Play(title=draw(_plain), number=draw(st.integers(-5, 5)))
    model.secret = draw(st.none() | _plain)
    model.now = draw(st.none() | _plain)
    model.actors = draw(st.lists(actors(), max_size=3))
    model.lines = draw(st.lists(_plain, max_size=3))
    crane = draw(actors(Crane))
    assert isinstance(crane, Crane)
    model.crane = crane
    model.extra = draw(st.none() | actors())
    model.encore = draw(plays(depth=depth - 1)) if depth and draw(st.booleans()) else None
    return model


@given(plays())
def test_a_model_comes_back_from_its_xml(model: Play) -> None:
    xml = write(model, "play")
    again = play(xml)
    assert again == model
    assert write(again, "play") == xml
    assert list_unknown(again, "/play") == []
