"""Chromium without a window, driven over the DevTools protocol by a pair of pipes: nobody else can reach it.

What is looked for is looked for by its role and name, as assistive technology gets them; what is pressed is pressed with the
mouse or a key, where it is seen.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time

from ministack import end, end_with_parent

PROGRAM = "chromium"
WITHIN = 30
ANSWERS_WITHIN = 15
# The protocol is spoken on file descriptors 3 and 4 of the browser.
LAUNCH = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
    "--password-store=basic", "--enable-blink-features=ComputedAccessibilityInfo",
    # It loads pages of this machine only, and containers give a sandbox not the rights that it needs.
    "--no-sandbox",
)  # fmt: skip
# The roles of what people use.
USED = ("textbox", "combobox", "button", "link", "radio", "table")
# Role and name are those that assistive technology gets. (The protocol's own `Accessibility.queryAXTree` ends Chromium 156 where a
# page is left meanwhile.)
FIND = """(role, name) => [...document.querySelectorAll("a, button, dialog, figure, input, select, table, textarea, th")]
  .filter((one) => one.computedRole === role && one.computedName === name && one.checkVisibility())"""
PRESSABLE = """(all) => {
  for (const one of all.filter((one) => !one.disabled)) {
    one.scrollIntoView({ block: "nearest" });
    const { x, y, width, height } = one.getClientRects()[0] ?? one.getBoundingClientRect();
    const middle = [x + width / 2, y + height / 2];
    const at = document.elementFromPoint(...middle);
    if (at && (one.contains(at) || at.contains(one))) return middle;
  }
}"""
WATCH = """{
  globalThis.wasPressed = false;
  const watch = ({ target }) => { globalThis.wasPressed = (%s)(%s, %s).some((one) => one.contains(target)); };
  document.addEventListener("click", watch, { capture: true, once: true });
}"""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "Space": 32}


class Browser:
    """One page. What it has complained of in its console is kept in `complaints`, what it has asked for in `requests`."""

    def __init__(self, read, write):
        self._read, self._write, self._buffer, self._number = read, write, b"", 0
        self._session, self.complaints, self.requests = None, [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        # Or keys would go to no page, as in a window that lies behind another.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.size(1280, 800)

    def call(self, method, **params):
        """What it answers. A page that is left while it is asked may never answer: then, and where it refuses, a LookupError."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        deadline = time.monotonic() + ANSWERS_WITHIN
        while True:
            said = self._next(deadline, method)
            if said.get("id") == self._number:
                if "error" in said:
                    raise LookupError(f"{method}: {said['error']['message']}")
                return said["result"]
            self._event(said)

    def _next(self, deadline, method):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise LookupError(f"{method}: no answer")
            got = os.read(self._read, 1 << 16)
            if not got:
                raise SystemExit(f"the browser has ended: {method}")
            self._buffer += got
        said, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(said)

    def _event(self, said):
        params = said.get("params", {})
        match said.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
            # What an API refuses is told by the page itself.
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning") and params["entry"]["source"] != "network":
                self.complaints.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"])
            case "Page.javascriptDialogOpening":
                # Whoever is asked whether to go on goes on.
                self._number += 1
                asked = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}, "sessionId": self._session}
                os.write(self._write, json.dumps(asked).encode() + b"\0")

    def size(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def go(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """What a script gives, as a document."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in done:
            raise LookupError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, what, look, within=WITHIN):
        """What `look` gives as soon as it is something; a page that is just being left gives nothing."""
        deadline = time.monotonic() + within
        while True:
            with contextlib.suppress(LookupError):
                if found := look():
                    return found
            if time.monotonic() > deadline:
                raise SystemExit(f"not seen within {within} s: {what}\n{self.run('location.href')}\n{self.text()}\n{self.complaints}")
            time.sleep(0.05)

    def text(self):
        return self.run("document.body?.innerText") or ""

    def sees(self, words, within=WITHIN):
        """Waits until the page says so."""
        self.until(words, lambda: words in self.text(), within)

    def found(self, role, name, then, *args):
        """What a function gives of all that is seen of a role and a name."""
        return self.run(f"({then})(({FIND})({json.dumps(role)}, {json.dumps(name)}), ...{json.dumps(args)})")

    def has(self, role, name):
        return self.found(role, name, "all => all.length > 0")

    def the(self, role, name):
        self.until(f"a {role} called {name!r}", lambda: self.has(role, name))

    def press(self, role, name):
        """Presses it with the mouse, in its middle, once it may be pressed, nothing lies over it and it stays where it is."""
        self.until(f"a {role} called {name!r} that can be pressed", lambda: self.pressed(role, name))

    def pressed(self, role, name):
        """Whether it was there to be pressed, and was hit: what comes in above it may have moved it away."""
        place = self.found(role, name, PRESSABLE)
        time.sleep(0.1)
        if not place or place != self.found(role, name, PRESSABLE):
            return False
        self.run(WATCH % (FIND, json.dumps(role), json.dumps(name)))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        try:
            # Whoever has left the page was hit on the way.
            return self.run("globalThis.wasPressed ?? true")
        except LookupError:
            return True

    def value(self, name):
        self.the("textbox", name)
        return self.found("textbox", name, "([one]) => one.value")

    def fill(self, name, text):
        """Types into a field in place of what stands there."""
        self.the("textbox", name)
        self.found("textbox", name, "([one]) => { one.focus(); one.select() }")
        self.call("Input.insertText", text=text)

    def nameless(self):
        """What can be used, and has no name for whoever does not see it."""
        return [role for role in USED if self.has(role, "")]

    def key(self, name, shift=False):
        code = KEYS[name]
        keyed = {"key": " " if name == "Space" else name, "code": name, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if name == "Enter" else {"text": " "} if name == "Space" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **keyed, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **keyed)

    def too_wide(self):
        """By how many pixels the page is wider than its window."""
        return self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]))


@contextlib.contextmanager
def browser(folder):
    """One whose files are in this folder; it is ended, by its id, whatever happens."""
    ours, theirs = os.pipe(), os.pipe()
    # Above those that it is to have, so that neither is overwritten.
    given = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (ours[0], theirs[1])]
    flags = [*FLAGS, f"--user-data-dir={folder / 'chromium'}"]
    log = (folder / "chromium.log").open("w")
    process = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", LAUNCH, *map(str, given), PROGRAM, *flags, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=given, preexec_fn=end_with_parent,
        )  # fmt: skip
        for fd in (*given, ours[0], theirs[1]):
            os.close(fd)
        page = Browser(theirs[0], ours[1])
        try:
            yield page
        except (SystemExit, LookupError) as end_of_all:
            # For whoever reads of a failure; to be asked to end is none.
            if not isinstance(getattr(end_of_all, "code", None), int):
                with contextlib.suppress(LookupError):
                    page.picture(folder / "chromium.png")
                    print(f"what the browser showed: {folder / 'chromium.png'}", flush=True)
            raise
    finally:
        if process is not None:
            end(process)
        os.close(theirs[0])
        os.close(ours[1])
        log.close()
