"""Each call of the catalogue has exactly one handler, and the supervision tree stands."""

from collections import Counter

from mechane.actors.domain.legality import RULES
from mechane.actors.domain.verbs import VERBS
from mechane.actors.handlers.hands import DOMAIN_CALLS, handled
from mechane.actors.handlers.objects import OBJECTS
from mechane.protocol.catalogue import HIGH_PLACES, Place, Priority, load


def test_each_call_has_exactly_one_handler() -> None:
    assert Counter(handled()) == Counter(spec.name for spec in load())


def test_each_verb_has_a_rule_and_each_domain_call_a_verb() -> None:
    beside_the_mailbox = {"domain.exec"}  # it has a rule, and is none of the actor's verbs
    assert VERBS.keys() | beside_the_mailbox == RULES.keys()
    assert beside_the_mailbox <= OBJECTS.keys()
    assert VERBS.keys() >= DOMAIN_CALLS


def test_high_calls_are_declared_only_where_nothing_waits() -> None:
    for spec in load():
        if spec.priority is Priority.HIGH:
            assert spec.on in HIGH_PLACES, spec.name
        if spec.on is Place.PUBLISHED:
            assert spec.priority is Priority.HIGH, spec.name
