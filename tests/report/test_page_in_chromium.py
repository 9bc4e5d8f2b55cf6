"""The page in headless Chromium, from disk: wide and narrow, light and dark, in print."""

import base64
import re

import pytest
from chromium import COMPLAINTS, SCHEMES, STICKS_OUT, TOO_FAINT, WIDTHS
from full_page import full_page


@pytest.fixture(scope="module")
def address(page_folder):
    return (page_folder / "index.html").as_uri()


def column(browser, index):
    return browser.run(
        "[...document.querySelector('#section-2 tbody').rows]"
        f".map(row => row.cells[{index}].textContent)"
    )


def states(browser):
    return browser.run(
        "[...document.querySelectorAll('#section-2 table.sortable th')]"
        ".map(heading => heading.ariaSort)"
    )


def style(browser, selector, name):
    """The computed styles of all elements that match the selector."""
    return set(
        browser.run(
            f"[...document.querySelectorAll('{selector}')]"
            f".map(each => getComputedStyle(each).{name})"
        )
    )


def click(browser, selector):
    x, y = browser.run(f"""(() => {{
        const node = document.querySelector("{selector}");
        node.scrollIntoView({{ behavior: "instant", block: "center" }});
        const box = node.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }})()""")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def press_enter(browser):
    browser.call(
        "Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r"
    )
    browser.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", windowsVirtualKeyCode=13)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
class TestOnScreen:
    def test_everything_is_shown_within_the_screen(self, browser, address, width, scheme):
        browser.open(address, width, scheme)
        assert [event for event in browser.events if event["method"] in COMPLAINTS] == []
        asked = [
            event["params"]["request"]["url"]
            for event in browser.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert {url.split(":")[0] for url in asked} == {"file", "data"}
        assert browser.run("document.title") == full_page().title
        for selector, number in (
            ("main > section", 6),
            (".chart", 6),
            ("main > section > .blocks > .scroll", 3),
            (".cards > li", 4),
        ):
            heights = browser.run(
                f"[...document.querySelectorAll('{selector}')].map(each => each.clientHeight)"
            )
            assert len(heights) == number
            assert min(heights) > 100
        assert browser.run(
            "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        )
        assert browser.run(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        assert browser.run(STICKS_OUT) == []

    def test_it_has_the_scheme_that_was_asked_for_and_the_contrast_that_wcag_asks_for(
        self, browser, address, width, scheme
    ):
        browser.open(address, width, scheme)
        browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert style(browser, "html", "backgroundColor") == {
            "rgb(22, 23, 26)" if scheme == "dark" else "rgb(255, 254, 252)"
        }
        assert browser.run(TOO_FAINT) == []


class TestReader:
    def test_a_click_sorts_rising_then_falling_and_leaves_what_is_not_defined_last(
        self, browser, address
    ):
        browser.open(address, 1280, "light")
        click(browser, "#section-2 th:nth-child(2) button")
        rising, first = column(browser, 1), states(browser)
        click(browser, "#section-2 th:nth-child(2) button")
        falling, second = column(browser, 1), states(browser)
        assert (first, second) == (["none", "ascending", "none"], ["none", "descending", "none"])
        assert rising[:-1] == sorted(rising[:-1])
        assert falling[:-1] == rising[-2::-1]
        assert rising[-1] == falling[-1] == "not defined (no rows), n = 0"

    def test_the_keyboard_sorts_too_and_numbers_go_by_their_value(self, browser, address):
        browser.open(address, 1280, "light")
        browser.run("document.querySelector('#section-2 th:nth-child(2) button').focus()")
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        assert browser.run("document.activeElement.textContent") == "supportrows"
        assert style(browser, ":focus-visible", "outlineStyle") == {"solid"}
        press_enter(browser)
        press_enter(browser)
        assert column(browser, 2) == ["75", "65", "55", "45", "35", "25", "15", "5", ""]

    def test_audio_plays(self, browser, address):
        browser.open(address, 390, "light")
        played = browser.run("""(async () => {
            const audio = document.querySelector("audio");
            await audio.play();
            await new Promise(done => audio.ontimeupdate = () => audio.currentTime > 0 && done());
            return [audio.error, audio.duration];
        })()""")
        assert played == [None, 1]

    def test_the_contents_stay_beside_the_text_on_a_wide_screen_and_lead_to_the_sections(
        self, browser, address
    ):
        browser.open(address, 1280, "light")
        click(browser, "nav li:nth-child(4) a")
        browser.run("""new Promise(done => {
            const top = () => document.getElementById("section-3").getBoundingClientRect().top;
            const look = () => Math.abs(top()) < 30 ? done() : setTimeout(look, 20);
            look();
        })""")
        assert 0 <= browser.run("document.querySelector('nav').getBoundingClientRect().top") < 60

    def test_nothing_glides_for_who_asked_for_no_motion(self, browser, address):
        browser.open(address, 1280, "light")
        assert style(browser, "html", "scrollBehavior") == {"smooth"}
        browser.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
        )
        assert style(browser, "html", "scrollBehavior") == {"auto"}


class TestInPrint:
    def test_paper_is_white_nothing_is_cut_off_and_charts_stay_whole(self, browser, address):
        # A4 less its margins, at 96 pixels an inch
        browser.open(address, 680, "dark", media="print")
        assert style(browser, "html", "backgroundColor") == {"rgb(255, 255, 255)"}
        assert browser.run(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        assert style(browser, ".blocks > .scroll", "overflowX") == {"visible"}
        assert style(browser, ".chart, .heat, .cards > li", "breakInside") == {"avoid"}
        assert browser.run(TOO_FAINT) == []

    def test_it_becomes_a_pdf_of_a_few_pages(self, browser, address):
        browser.open(address, 1280, "dark", media="")
        written = base64.b64decode(
            browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]
        )
        assert written.startswith(b"%PDF")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", written)) <= 8
