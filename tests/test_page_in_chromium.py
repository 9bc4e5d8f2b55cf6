"""The page in headless Chromium, from disk: wide and narrow, light and dark, in print. Its DevTools protocol goes through two pipes."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import re
import select
import shutil
import subprocess
import time

import pytest
from test_page import full_page

from multimodal_tf.evaluation.page import save

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"]
FLAGS += ["--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--remote-debugging-pipe"]
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
PATIENCE = 60  # seconds for one answer, on a machine that does other things too

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on the path (Debian: apt install chromium)")


class Browser:
    """One tab of a headless Chromium: commands and events of https://chromedevtools.github.io/devtools-protocol/, NUL after each."""

    def __init__(self, profile):
        to_chromium, self._out = os.pipe()
        self._in, from_chromium = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; the spare copies lie above both.
        spare = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_chromium, from_chromium)]
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=lambda: [os.dup2(end, place) for end, place in zip(spare, (3, 4))],
        )
        for end in (to_chromium, from_chromium, *spare):
            os.close(end)
        self._numbers, self._bytes, self._session, self.events = itertools.count(1), b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of one command; what else arrives is kept in `events`."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def _message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._bytes:
            assert select.select([self._in], [], [], max(0, end - time.monotonic()))[0], "Chromium does not answer"
            part = os.read(self._in, 2**16)
            assert part, "Chromium has ended"
            self._bytes += part
        message, self._bytes = self._bytes.split(b"\0", 1)
        return json.loads(message)

    def run(self, script):
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, address, width, scheme, media="screen"):
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))")

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self._session = None
            self.call("Browser.close")
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


# Every visible text that has less contrast with what lies behind it than WCAG 2.2 AA asks for, and every coloured line likewise.
TOO_FAINT = r"""(() => {
  const rgba = text => { const n = text.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = node => node ? over(rgba(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
  const light = colour => colour.map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (node, colour) => {
    const below = behind(node), [a, b] = [light(over(rgba(colour), below)), light(below)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.getClientRects().length) continue;
    const colour = getComputedStyle(node)[node instanceof SVGElement ? "fill" : "color"];
    if (contrast(node, colour) < 4.5) faint.push([node.tagName, walker.currentNode.data.slice(0, 40), contrast(node, colour)]);
  }
  for (const line of document.querySelectorAll(".line, .whisker")) {
    if (contrast(line, getComputedStyle(line).stroke) < 3) faint.push(["line", line.getAttribute("class")]);
  }
  return faint;
})()"""

# What sticks out of the page to the right, other than what can be moved sideways in its own box.
STICKS_OUT = """[...document.querySelectorAll("body *")].filter(node => !node.closest("table, .plot > svg")
  && node.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(node => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with contextlib.closing(Browser(tmp_path_factory.mktemp("profile"))) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report"
    save(full_page(), path)
    return (path / "index.html").as_uri()


def column(browser, place):
    return browser.run(f"[...document.querySelector('#section-2 tbody').rows].map(row => row.cells[{place}].textContent)")


def states(browser):
    return browser.run("[...document.querySelectorAll('#section-2 table.sortable th')].map(heading => heading.ariaSort)")


def style(browser, selector, name):
    """The computed style of all that the selector finds, each value once."""
    return set(browser.run(f"[...document.querySelectorAll('{selector}')].map(each => getComputedStyle(each).{name})"))


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
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", windowsVirtualKeyCode=13, text="\r")
    browser.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", windowsVirtualKeyCode=13)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
class TestOnScreen:
    def test_all_is_there_and_within_the_screen(self, browser, address, width, scheme):
        browser.open(address, width, scheme)
        complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        assert [event for event in browser.events if event["method"] in complaints] == []
        asked = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
        assert {url.split(":")[0] for url in asked} == {"file", "data"}
        assert browser.run("document.title") == full_page().title
        for selector, number in (("main > section", 6), (".chart", 6), ("main > section > .blocks > .scroll", 3), (".cards > li", 4)):
            heights = browser.run(f"[...document.querySelectorAll('{selector}')].map(each => each.clientHeight)")
            assert len(heights) == number
            assert min(heights) > 100
        assert browser.run("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert browser.run(STICKS_OUT) == []

    def test_it_has_the_scheme_that_was_asked_for_and_the_contrast_that_wcag_asks_for(self, browser, address, width, scheme):
        browser.open(address, width, scheme)
        browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert style(browser, "html", "backgroundColor") == {"rgb(22, 23, 26)" if scheme == "dark" else "rgb(255, 254, 252)"}
        assert browser.run(TOO_FAINT) == []


class TestReader:
    def test_a_click_sorts_rising_then_falling_and_leaves_what_is_not_defined_last(self, browser, address):
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

    def test_a_sound_plays(self, browser, address):
        browser.open(address, 390, "light")
        played = browser.run("""(async () => {
            const sound = document.querySelector("audio");
            await sound.play();
            await new Promise(done => sound.ontimeupdate = () => sound.currentTime > 0 && done());
            return [sound.error, sound.duration];
        })()""")
        assert played == [None, 1]

    def test_the_contents_stay_beside_the_text_on_a_wide_screen_and_lead_to_the_sections(self, browser, address):
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
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        assert style(browser, "html", "scrollBehavior") == {"auto"}


class TestInPrint:
    def test_paper_is_white_nothing_is_cut_off_and_charts_stay_whole(self, browser, address):
        browser.open(address, 680, "dark", media="print")  # A4 less its margins, at 96 pixels an inch
        assert style(browser, "html", "backgroundColor") == {"rgb(255, 255, 255)"}
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert style(browser, ".blocks > .scroll", "overflowX") == {"visible"}
        assert style(browser, ".chart, .heat, .cards > li", "breakInside") == {"avoid"}
        assert browser.run(TOO_FAINT) == []

    def test_it_becomes_a_pdf_of_a_few_pages(self, browser, address):
        browser.open(address, 1280, "dark", media="")
        written = base64.b64decode(browser.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        assert written.startswith(b"%PDF")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", written)) <= 8
