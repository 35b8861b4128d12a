"""Pages of the gallery: whole folders, pictures with numbers, an index."""

import json

import pandas as pd
import pytest

from varprop._validation import InputError
from varprop.reporting.pages import Page, index_text, publish, read_card


def page():
    import matplotlib.pyplot as plt

    made = Page("e0_example", "An example", "What does a page hold?", "Words, pictures and numbers.")
    made.say("A paragraph.")

    def draw():
        figure, ax = plt.subplots(figsize=(4, 3))
        ax.plot([0, 1], [0, 1])
        return figure

    numbers = pd.DataFrame({"name": ["a|b", "c"], "value": [0.5, 1e-9]})
    made.figure("line", draw, sees="A rising line.", alt="a line", data=numbers)
    made.table("values", numbers, note="Two rows.")
    return made


def test_a_page_is_a_folder_with_pictures_and_numbers(tmp_path):
    readme = page().write(tmp_path)
    folder = tmp_path / "e0_example"
    expected = {"README.md", "line.csv", "line.png", "page.json", "thumbnail.png", "values.csv"}
    assert {p.name for p in folder.iterdir()} == expected
    text = readme.read_text()
    assert "![a line](line.png)" in text
    assert "a\\|b" in text
    assert pd.read_csv(folder / "values.csv")["value"].tolist() == [0.5, 1e-9]


def test_writing_again_replaces_the_page_and_repeats_it_bit_for_bit(tmp_path):
    first = page().write(tmp_path)
    before = {p.name: p.read_bytes() for p in first.parent.iterdir()}
    page().write(tmp_path)
    assert {p.name: p.read_bytes() for p in first.parent.iterdir()} == before


def test_a_page_never_takes_the_place_of_the_user_s_work(tmp_path):
    folder = page().write(tmp_path).parent
    (folder / "stale.csv").write_text("mine")
    with pytest.raises(InputError, match=r"stale\.csv"):
        page().write(tmp_path)
    assert (folder / "stale.csv").read_text() == "mine"
    (folder / "stale.csv").unlink()
    (folder / "README.md").write_text("edited by hand")
    with pytest.raises(InputError, match=r"README\.md.*edited"):
        page().write(tmp_path)
    assert (folder / "README.md").read_text() == "edited by hand"


def test_cards_say_what_the_index_needs(tmp_path):
    folder = page().write(tmp_path).parent
    assert read_card(folder) == {
        "name": "e0_example",
        "title": "An example",
        "answer": "Words, pictures and numbers.",
    }
    assert read_card(tmp_path) is None


TEXT = """
# An example
*What does a page hold?*
**Words, pictures
and numbers.**

A paragraph.

![a line](line)
A rising line.
[values] Two rows.
"""


def parts():
    made = page()

    def draw():
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(figsize=(4, 3))
        ax.plot([0, 1], [0, 1])
        return figure

    numbers = pd.DataFrame({"name": ["a|b", "c"], "value": [0.5, 1e-9]})
    return made, {"line": (draw, numbers), "values": numbers}


def test_published_text_is_the_page_built_by_hand(tmp_path):
    made, given = parts()
    by_hand = made.write(tmp_path / "hand").parent
    published = publish("e0_example", TEXT, tmp_path / "text", **given).parent
    assert {p.name: p.read_bytes() for p in published.iterdir()} == {
        p.name: p.read_bytes() for p in by_hand.iterdir()
    }


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("no title", "text"),
        (TEXT.replace("[values]", "[other]"), "text"),
        (TEXT.replace("[values]", "values"), "parts"),
        (TEXT + "\n\n[values] Again.", "text"),
    ],
)
def test_text_and_parts_that_do_not_fit_are_refused(tmp_path, text, field):
    with pytest.raises(InputError, match=field):
        publish("e0_example", text, tmp_path, **parts()[1])
    assert not (tmp_path / "e0_example").exists()


def test_the_index_links_every_page():
    cards = [{"name": "e0_example", "title": "An example", "answer": "Words."}]
    text = index_text(cards)
    assert "(e0_example/README.md)" in text
    assert "(e0_example/thumbnail.png)" in text
    assert json.dumps(cards)


@pytest.mark.parametrize("name", ["../x", "", "a b", "a/b"])
def test_names_that_are_no_folder_names_are_refused(name):
    with pytest.raises(InputError, match="name"):
        Page(name, "t", "q")
