"""A headless Chromium; its DevTools protocol goes through two pipes."""

import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--mute-audio",
]
FLAGS += [
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--remote-debugging-pipe",
]
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
COMPLAINTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
# seconds for one result, on a busy machine
PATIENCE = 60


class Browser:
    """One tab of a headless Chromium: commands and events of
    https://chromedevtools.github.io/devtools-protocol/, NUL after each.
    """

    def __init__(self, profile):
        to_chromium, self._out = os.pipe()
        self._in, from_chromium = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; the spare copies lie above both.
        spare = [
            fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_chromium, from_chromium)
        ]
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
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of one command; what else arrives is kept in `events`."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        os.write(
            self._out,
            json.dumps({"id": number, "method": method, "params": params, **session}).encode()
            + b"\0",
        )
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def _message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._bytes:
            assert select.select([self._in], [], [], max(0, end - time.monotonic()))[0], (
                "Chromium does not answer"
            )
            part = os.read(self._in, 2**16)
            assert part, "Chromium has ended"
            self._bytes += part
        message, self._bytes = self._bytes.split(b"\0", 1)
        return json.loads(message)

    def run(self, script):
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, address, width, scheme, media="screen"):
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Page.navigate", url=address)
        self.run(
            "new Promise(done => document.readyState === 'complete' ? done() : "
            "addEventListener('load', () => done()))"
        )

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self._session = None
            self.call("Browser.close")
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


# Every visible text, and every coloured line, whose contrast is below WCAG 2.2 AA.
TOO_FAINT = r"""(() => {
  const rgba = text => {
    const n = text.match(/[\d.]+/g).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const background = node => rgba(getComputedStyle(node).backgroundColor);
  const behind = node =>
    node ? over(background(node), behind(node.parentElement)) : [255, 255, 255];
  const light = colour => colour.map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
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
    const found = contrast(node, colour);
    if (found < 4.5) faint.push([node.tagName, walker.currentNode.data.slice(0, 40), found]);
  }
  for (const line of document.querySelectorAll(".line, .whisker")) {
    const found = contrast(line, getComputedStyle(line).stroke);
    if (found < 3) faint.push(["line", line.getAttribute("class")]);
  }
  return faint;
})()"""

# What overflows the page to the right, except in boxes that scroll sideways.
STICKS_OUT = """[...document.querySelectorAll("body *")]
  .filter(node => !node.closest("table, .plot > svg"))
  .filter(node => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(node => node.outerHTML.slice(0, 80))"""
