"""Nothing but `InputError` escapes from the builders of parts, families and inputs with positions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import varprop as vp
from tests.fuzz.parts import bodies, family_networks, parts, placed_inputs
from tests.fuzz.test_fuzz import attempt, fuzzed
from varprop.spec import parse_study
from varprop.spec.parts import as_part


def _used(network: vp.Network | None) -> None:
    """Describe a network, and write it and read it again; what is written is read as the same."""
    if network is None:
        return
    attempt(network.describe)
    study = attempt(vp.Study, "fuzz", [network])
    text = None if study is None else attempt(vp.write_study, study)
    if text is not None:
        assert parse_study(text).digest() == study.digest()


@fuzzed
@given(st.data())
def test_parts_are_built_or_refused(data: st.DataObject) -> None:
    attempt(lambda: as_part(data.draw(parts())))


@fuzzed
@given(st.data())
def test_networks_of_parts_are_built_or_refused(data: st.DataObject) -> None:
    _used(attempt(lambda: data.draw(bodies())))


@fuzzed
@given(st.data())
def test_families_are_built_or_refused(data: st.DataObject) -> None:
    _used(attempt(lambda: data.draw(family_networks())))


@fuzzed
@given(st.data())
def test_inputs_with_positions_are_made_or_refused(data: st.DataObject) -> None:
    made = attempt(lambda: data.draw(placed_inputs()))
    if made is not None:
        assert made.columns == made.batch * made.shape.count
