import pytest
from hypothesis import given
from hypothesis import strategies as st

from varprop.plots.labels import label, plain, short

HOSTILE = [
    "<script>alert(1)</script>",
    "$x^$ and $y$",
    "_hidden",
    "bell\x07 escape\x1b[31m newline\n tab\t",
    "letters " * 625,
    "right\u202eto left",
    "\ud800 lone surrogate",
    "emoji 🦊 and 中文",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_becomes_one_short_printable_line(text: str) -> None:
    assert short(text).isprintable()
    assert len(short(text)) <= 48
    assert "\n" not in short(text)


@given(st.text(), st.integers(min_value=8, max_value=60))
def test_short_keeps_its_promise_for_any_text(text: str, limit: int) -> None:
    assert len(short(text, limit)) <= limit
    assert short(text, limit).isprintable()


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P")), max_size=48))
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert short(text) == text


def test_long_names_keep_beginning_and_end() -> None:
    shown = short("begin" + "x" * 5000 + "end")
    assert shown.startswith("begin")
    assert shown.endswith("end")


def test_plain_writes_out_what_cannot_be_printed() -> None:
    assert plain("a\x00\u202e\U000e0001") == "a\\x00\\u202e\\U000e0001"


@pytest.mark.parametrize("text", HOSTILE)
def test_label_holds_no_formula_and_no_hidden_entry(text: str) -> None:
    shown = label(text)
    assert not shown.startswith("_")
    assert shown.replace(r"\$", "").count("$") == 0
