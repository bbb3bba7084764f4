"""What a model writes becomes a page's HTML, and never a page's script."""

import time
from html.parser import HTMLParser

import pytest
from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.markdown import ATTRIBUTES, TAGS, render
from tests.xss_corpus import FORMS

ALLOWED = {name for names in ATTRIBUTES.values() for name in names} | {"class", "rel"}


class Elements(HTMLParser):
    """All elements of a piece of HTML with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(html: str) -> None:
    for tag, attributes in Elements(html).found:
        assert tag in TAGS, f"<{tag}> in {html}"
        assert set(attributes) <= ALLOWED, f"{attributes} in {html}"
        if tag == "a" and "href" in attributes:
            href = (attributes["href"] or "").lower()
            assert href.startswith(("http://", "https://", "mailto:")), html
            assert attributes["rel"] == "noopener noreferrer nofollow"


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(set(FORMS)) == len(FORMS) >= 60


@pytest.mark.parametrize("form", FORMS)
def test_x01_a_hostile_form_is_harmless(form: str) -> None:
    assert_harmless(render(form))
    assert_harmless(render(f"Text before {form} and after."))


@pytest.mark.parametrize("form", FORMS)
def test_x01_every_beginning_of_a_hostile_form_is_harmless(form: str) -> None:
    for end in range(len(form)):
        assert_harmless(render(form[:end]))


def test_all_forms_together_are_harmless() -> None:
    assert_harmless(render("\n\n".join(FORMS)))
    assert_harmless(render("\n".join(FORMS)))


@given(st.lists(st.sampled_from([*FORMS, "\n", "\n\n", "    ", "> ", "- ", "```\n", "|", "**"])))
def test_forms_in_any_order_are_harmless(parts: list[str]) -> None:
    assert_harmless(render("".join(parts)))


@given(st.text())
def test_any_text_is_rendered(text: str) -> None:
    assert_harmless(render(text))


class RenderTests(SimpleTestCase):
    def test_raw_html_is_shown_as_text(self) -> None:
        self.assertInHTML("<p>&lt;b&gt;x&lt;/b&gt;</p>", render("<b>x</b>"))

    def test_x02_a_picture_becomes_a_link_with_its_text(self) -> None:
        html = render("![a *chart*](https://a.example/c.png)")
        assert "<img" not in html
        assert ">a chart</a>" in html
        assert 'class="image-link"' in html

    def test_x03_a_link_names_its_host_and_leaves_the_page_alone(self) -> None:
        html = render("[bank](https://evil.example/login 'bank.example')")
        assert 'title="evil.example"' in html
        assert 'target="_blank"' in html

    def test_a_bare_address_becomes_a_link_without_the_punctuation(self) -> None:
        html = render("See https://a.example/x_(y), or `https://b.example`.")
        assert 'href="https://a.example/x_(y)"' in html
        assert html.count("<a ") == 1

    def test_an_address_inside_a_link_is_left(self) -> None:
        assert render("[https://a.example](https://b.example)").count("<a ") == 1

    def test_code_is_coloured_by_classes_and_labelled(self) -> None:
        html = render("```python\ndef f(): pass\n```")
        assert '<span class="code-language">python</span>' in html
        assert '<span class="k">def</span>' in html
        assert '<pre tabindex="0">' in html

    def test_code_of_an_unknown_language_is_kept(self) -> None:
        assert "a &lt; b" in render("```nonesuch\na < b\n```")

    def test_code_keeps_its_leading_lines(self) -> None:
        assert "<code>\n\nx" in render("```text\n\n\nx\n```")

    def test_alignment_is_a_class_because_the_page_forbids_styles(self) -> None:
        html = render("|a|b|\n|:-:|--:|\n|1|2|")
        assert 'class="align-center"' in html
        assert 'class="align-right"' in html
        assert "style" not in html

    def test_a_table_can_be_scrolled_by_keyboard_and_has_headers(self) -> None:
        html = render("|a|\n|-|\n|1|")
        assert 'tabindex="0"' in html
        assert '<th scope="col">a</th>' in html

    def test_headings_stand_below_those_of_the_page(self) -> None:
        html = render("# a\n\n###### b")
        assert "<h3>a</h3>" in html
        assert "<h6>b</h6>" in html

    def test_line_ends_and_strikethrough_are_kept(self) -> None:
        self.assertHTMLEqual(render("a\n~~b~~"), "<p>a<br><s>b</s></p>")

    def test_a_lone_surrogate_does_not_end_the_page(self) -> None:
        assert render("a\ud83d") == "<p>a?</p>\n"

    def test_what_makes_parsers_slow_is_rendered_in_time(self) -> None:
        for text in ("[" * 20_000, "*a " * 10_000, "> " * 5_000, "https://(" * 5_000, "`" * 20_000):
            began = time.perf_counter()
            render(text)
            assert time.perf_counter() - began < 5, text[:9]


class FormulaTests(SimpleTestCase):
    def test_each_form_of_a_formula_becomes_mathml(self) -> None:
        for text in (r"$x^2$", r"\(x^2\)", "$$x^2$$", r"\[x^2\]", "$$\nx^2\n$$", "so\n$$\nx^2\n$$"):
            html = render(text)
            assert "<msup><mi>x</mi><mn>2</mn></msup>" in html, (text, html)
            assert "$" not in html

    def test_a_formula_of_its_own_is_displayed_and_scrolls(self) -> None:
        html = render("$$\n\\frac{1}{2}\n- x\n$$\nand $y$ in a line")
        assert '<span class="math-display" tabindex="0"><math display="block">' in html
        assert '<math display="inline"><mrow><mi>y</mi>' in html
        assert "<li>" not in html

    def test_prices_stay_text(self) -> None:
        for text in ("$5 and $10", "$5-$10", "from $5 to 10$ each", "US$5 or A$6", "a $ b $ c"):
            assert render(text) == f"<p>{text}</p>\n"

    def test_dollars_in_code_and_escaped_ones_stay(self) -> None:
        assert "<math" not in render("`$x$` and \\$x\\$ and\n\n```\n$$x$$\n```\n\n    $$x$$")

    def test_what_is_no_formula_stays_as_its_source(self) -> None:
        for text in (r"$\frac{$", r"\(\nonesuch x\)", r"$$\href{javascript:alert(1)}{$$"):
            html = render(text)
            assert '<code class="math-source">' in html, html
            assert "<math" not in html

    def test_what_a_formula_says_is_escaped(self) -> None:
        assert "<mtext>a&lt;b</mtext>" in render(r"$\text{a<b}$")
        assert "&lt;" in render("$x<y$")

    def test_matrices_and_aligned_lines_are_tables(self) -> None:
        for name in ("pmatrix", "cases", "aligned"):
            html = render(f"$$\n\\begin{{{name}}}a&b\\\\c&d\\end{{{name}}}\n$$")
            assert html.count("<mtr>") == 2, html

    def test_a_formula_in_a_table_or_a_list_is_found(self) -> None:
        assert render("|a|\n|-|\n|$x$|").count("<math") == 1
        assert render("- $$\n  x\n  $$\n- b").count("<math") == 1

    def test_formulas_that_would_cost_much_stay_as_their_source(self) -> None:
        deep = "\\frac{1}{" * 60 + "x" + "}" * 60
        for tex in (deep, "\\sqrt" * 200 + "x", "x+" * 1400):
            assert "<math" not in render(f"$${tex}$$")
        for text in ("$x$ " * 8000, "\\(" * 16_000, "$a " * 10_000, "$$a\n" * 8000, "$$" * 16_000):
            began = time.perf_counter()
            assert render(text).count("<math") <= 300
            assert time.perf_counter() - began < 5, text[:9]
