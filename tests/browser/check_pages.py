"""Opens the pages of sessions in a real browser and looks whether they show what was sent.

The local receiver runs with its sample sessions; a session of 1,000 events and 100 streams and a
hostile one are sent to it. Each page is opened by its signed link and as a file from `recordings
show --html`, in light, in dark and on a phone; there axe-core looks, too, whether everybody can
read it. On a phone the large one takes at most a few times the work of a plain table of that size.
Then a fault for every check is planted into a page, and the check has to see it.

    (mkdir -p target/axe; cd target/axe; npm pack axe-core@4.11.1; tar xzf axe-core-4.11.1.tgz)
    python tests/browser/check_pages.py            # needs playwright and a chromium
    python tests/browser/check_pages.py --pictures docs
"""

import argparse
import collections
import hashlib
import hmac
import html
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = b"local-secret"
T0 = 1_772_460_000_000
LANES = ["service", "recorder", "uploader", "errors", "alerts", "missing", "files"]
VIEWS = {
    "light": dict(viewport={"width": 1280, "height": 900}, color_scheme="light"),
    "dark": dict(viewport={"width": 1280, "height": 900}, color_scheme="dark"),
}
for scheme, name in [("light", "phone"), ("dark", "phone, dark")]:
    VIEWS[name] = dict(
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
    )
# A page may take so many times the work of a plain table: on a phone a quarter as fast as a laptop,
# some two seconds.
PATIENCE = 6
PLAIN = (
    "<!doctype html><title>plain</title><table>"
    + "<tr><td>12:00:01</td><td>a word of an event</td><td>and what it says</td></tr>" * 1000
    + "</table>"
)

# Each is sent as channel, uid, stream, file name and error message. Any that gets through sets the
# canary or opens a dialog.
HOSTILE = [
    "<script>window.canary=1</script>",
    '"><img src=x onerror="window.canary=1">',
    "</title><script>window.canary=1</script>",
    "</svg></style><svg onload=window.canary=1>",
    "javascript:window.canary=1",
    "' onmouseover='window.canary=1",
    "--></script><script>alert(1)</script>",
    "\u001b[2J\u202egnp.exe &lt;b&gt;",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def callback(sid, sequence, event_type, details, at, cname, uid="527841"):
    payload = dict(
        cname=cname, uid=uid, sid=sid, sequence=sequence, sendts=at, serviceType=1, details=details
    )
    return dict(
        noticeId=f"{sid}-{sequence}",
        productId=3,
        eventType=event_type,
        notifyMs=at + 40,
        payload=payload,
    )


def sample(name):
    return [
        json.loads(line)
        for line in (ROOT / f"events/sessions/{name}.ndjson").read_text().splitlines()
    ]


def large():
    """1,000 events, 100 streams, over an hour, with errors and losses in it."""
    out, sequence = [], 0

    def say(event_type, details, at):
        nonlocal sequence
        # Every 90th is lost.
        if sequence % 90 != 89:
            out.append(callback("large", sequence, event_type, details, T0 + at, "town-hall"))
        sequence += 1

    say(30, {"status": 0}, 0)
    say(40, {"status": 0}, 400)
    toggles = []
    for stream in range(100):
        begin = 2000 + stream * 9_000
        for kind in (43, 44):
            at, on = begin + kind * 50, True
            for turn in range(4 if kind == 43 else 6):
                toggles.append((at, kind, str(10_000 + stream), 0 if on else 1))
                at += 120_000 + (stream * 7919 + turn * 104_729 + kind) % 420_000
                on = not on
    for at, kind, stream, state in sorted(toggles):
        say(kind, {"streamUid": stream, "state": state, "utcMs": T0 + at}, at)
    last = max(at for at, *_ in toggles)
    while sequence < 1000 + 11:
        step = sequence % 4
        if step == 0:
            say(4, {"fileList": f"large_{sequence}.m3u8"}, last)
        elif step == 1:
            say(2, {"module": 1, "warnCode": 31}, last)
        elif step == 2:
            say(33, {"progress": 9000}, last)
        else:
            say(45, {"fileName": f"large_{sequence}.jpg"}, last)
        last += 1500
    say(41, {"leaveCode": 24}, last + 1000)
    say(31, {"status": 0}, last + 9000)
    say(11, {"exitStatus": 0}, last + 10_000)
    return out


def hostile():
    out = []
    for n, text in enumerate(HOSTILE):
        at = T0 + n * 60_000
        say = lambda k, event_type, details: out.append(
            callback(
                "hostile",
                n * 10 + k,
                event_type,
                details,
                at + k * 1000,
                HOSTILE[0] + HOSTILE[1],
                text,
            )
        )
        say(0, 40, {"status": 0})
        say(1, 43, {"streamUid": text, "state": 0})
        say(2, 4, {"fileList": text})
        say(3, 1, {"module": 1, "errorLevel": 5, "errorCode": 47, "errorMsg": text})
        say(4, 45, {"fileName": text})
        say(5, 900 + n, {text: text})
        say(6, 12, {"newUid": HOSTILE[(n + 1) % len(HOSTILE)]})
    return out


class Example:
    """The local example, with the sample sessions and ours."""

    def __init__(self, binary):
        self.port, self.dynamodb, self.sns = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile()
        command = [
            binary,
            "--port",
            self.port,
            "--dynamodb-port",
            self.dynamodb,
            "--sns-port",
            self.sns,
            # What the sweeper finds, and when, isn't what was sent.
            "--sweep-every",
            0,
        ]
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, stdout=self.log, stderr=subprocess.STDOUT
        )
        for _ in range(600):
            self.log.seek(0)
            if b"Listening" in self.log.read():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.log.seek(0)
        sys.exit("the local example did not start: " + self.log.read().decode())

    def post(self, callback):
        body = json.dumps(callback).encode()
        signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "Agora-Signature-V2": signature}
        with urllib.request.urlopen(
            urllib.request.Request(self.url, body, headers), timeout=20
        ) as answer:
            assert answer.status == 200

    def link(self, sid):
        """The signed link to a recording's page, as the list has it."""
        with urllib.request.urlopen(self.url, timeout=20) as answer:
            found = re.search(rf'href="(/s/{sid}\?[^"]*)"', answer.read().decode())
        return self.url + html.unescape(found[1])

    def page(self, recordings, sid, file):
        env = dict(
            os.environ,
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{self.dynamodb}",
            AWS_ACCESS_KEY_ID="local",
            AWS_SECRET_ACCESS_KEY="local",
            AWS_REGION="eu-central-1",
            TABLE_NAME="agora-recordings",
            ALERT_TOPIC_ARN="arn:aws:sns:eu-central-1:000000000000:agora-recording-alerts",
        )
        subprocess.run(
            [recordings, "show", sid, "--html", file],
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
        )


class Expected:
    """What a page has to show, counted in what was sent."""

    def __init__(self, callbacks):
        facts = {
            json.dumps(c["payload"], sort_keys=True): c for c in callbacks if c["eventType"] != 33
        }.values()
        self.events = len(facts)
        details = [(c["eventType"], c["payload"]["details"]) for c in facts]
        streams = [d for kind, d in details if kind in (43, 44)]
        self.streams = len({d["streamUid"] for d in streams})
        uids = {c["payload"]["uid"] for c in callbacks}
        uids |= {str(d["newUid"]) for kind, d in details if kind == 12}
        self.recorders = min(len(uids), 8)
        self.gaps = sum(
            1
            for kind, d in details
            if kind == 42 and int(d["discontinueUtcMs"]) < int(d["startUtcMs"])
        )
        self.problems = sum(1 for kind, _ in details if kind in (1, 2))
        self.alerts = sum(
            1
            for kind, d in details
            if kind == 1
            and d["errorLevel"] >= 5
            or kind == 11
            and d.get("exitStatus", d.get("leaveStatus")) != 0
            or kind == 32
        )
        numbers = collections.defaultdict(set)
        for c in callbacks:
            numbers[c["payload"]["uid"]].add(c["payload"]["sequence"])
        # A place is a run of numbers that never came; the first recorder counts from 0.
        self.holes = 0
        if len(numbers) == 1:
            (seen,) = numbers.values()
            self.holes = sum(1 for n in seen if n > 0 and n - 1 not in seen)
        else:
            self.holes = None
        bars = collections.Counter()
        open_bars = set()
        ordered = sorted(facts, key=lambda c: (c["payload"]["sendts"], c["payload"]["sequence"]))
        for c in ordered:
            if c["eventType"] in (43, 44):
                d = c["payload"]["details"]
                key = (d["streamUid"], c["eventType"])
                if d["state"] == 1:
                    bars[c["eventType"]] += 1
                    open_bars.discard(key)
                else:
                    open_bars.add(key)
        for _, kind in open_bars:
            bars[kind] += 1
        self.audio, self.video = bars[43], bars[44]


class Watch:
    """What a browser must not do while it shows a page: complain, speak to others, open a dialog,
    run what isn't ours."""

    def __init__(self, page, origin):
        self.problems = []
        page.on(
            "console",
            lambda m: m.type in ("error", "warning") and self.problems.append(f"console: {m.text}"),
        )
        page.on("pageerror", lambda e: self.problems.append(f"page error: {e}"))
        page.on("dialog", lambda d: (self.problems.append(f"dialog: {d.message}"), d.dismiss()))
        page.on("request", lambda r: self.request(r.url, origin))

    def request(self, url, origin):
        if not url.startswith((origin, "data:")):
            self.problems.append(f"request to {url}")


def check(page, watch, expected, is_phone):
    """All that is wrong with an open page, as words."""
    problems = []

    def same(what, is_, should_be):
        if should_be is not None and is_ != should_be:
            problems.append(f"{what}: {is_}, should be {should_be}")

    count = lambda selector: page.locator(selector).count()
    lanes = collections.Counter(
        page.eval_on_selector_all("[data-lane]", "all => all.map(e => e.dataset.lane)")
    )
    for lane in LANES:
        same(
            f"lanes {lane}",
            lanes[lane],
            expected.recorders if lane in ("recorder", "uploader") else 1,
        )
    same("lanes of streams", lanes["stream"], expected.streams)
    same(
        "marks of callbacks",
        count("[data-mark=callback],[data-mark=audio],[data-mark=video]"),
        expected.events,
    )
    same("rows of callbacks", count("tr[data-what=callback]"), expected.events)
    same("audio bars", count("[data-bar=audio]"), expected.audio)
    same("video bars", count("[data-bar=video]"), expected.video)
    same("interruptions", count("[data-lane=recorder] [data-bar=gap]"), expected.gaps)
    same("errors and warnings", count("[data-lane=errors] [data-mark]"), expected.problems)
    same("alerts", count("[data-lane=alerts] [data-mark=alert]"), expected.alerts)
    same("missing", count("[data-lane=missing] [data-mark=missing]"), expected.holes)
    same("canary", page.evaluate("window.canary"), None) if page.evaluate(
        "window.canary"
    ) is None else problems.append("a script from outside ran")
    same(
        "foreign elements",
        count("img, iframe, object, embed, form, base, script[src], link[rel=stylesheet]"),
        0,
    )
    handlers = """all => all.flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on')
        || /^\\s*javascript:/i.test(a.value) && ['href','src','xlink:href'].includes(a.name)
    ).map(a => a.name)"""
    same("handlers", page.eval_on_selector_all("*", handlers), [])
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if width[0] > width[1]:
        problems.append(f"wider than the window: {width[0]} px of {width[1]}")
    if is_phone:
        wide = page.evaluate("""() => [...document.querySelectorAll('main *')]
            .filter(e => !e.closest('.scroll') && !e.closest('.rows')
                && e.getBoundingClientRect().right > innerWidth + 1)
            .map(e => e.tagName + '.' + (e.className.baseVal ?? e.className)).slice(0, 3)""")
        same("what overflows", wide, [])
        same(
            "the picture scrolls",
            page.evaluate(
                "(e => e.scrollWidth > e.clientWidth)(document.querySelector('.scroll'))"
            ),
            True,
        )
    # Details come up where the pointer is.
    return problems + details(page, is_phone) + watch.problems


def details(page, is_phone):
    """What is wrong with what the pointer brings up. A live page may be replaced meanwhile: then
    once more."""
    problems = []
    for _ in range(3):
        # The last one isn't covered by another.
        mark = page.locator("[data-lane=recorder] [data-mark]").last
        mark.scroll_into_view_if_needed()
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        text = mark.evaluate("e => (e.querySelector('title') || {}).textContent") or ""
        if is_phone:
            mark.dispatch_event("pointerdown", {"clientX": 120, "clientY": 300, "bubbles": True})
        else:
            mark.hover(force=True)
        tip = page.locator("#tip")
        if len(text.splitlines()) < 2:
            problems = ["a mark without details"]
        elif not tip.is_visible() or not (tip.text_content() or "").strip():
            problems = ["no details on hover"]
        elif tip.text_content() != text:
            problems = [f"other details on hover: {tip.text_content()!r}"]
        else:
            return []
        page.mouse.move(1, 1)
    return problems


def opened(browser, url, view, **more):
    context = browser.new_context(**VIEWS[view], **more)
    page = context.new_page()
    origin = url if url.startswith("file:") else url[: url.index("/", 8)]
    watch = Watch(page, origin)
    page.goto(url, wait_until="load")
    return context, page, watch


def readable(browser, axe, url, view):
    """What axe-core finds serious: contrast, names, order, what a keyboard can't reach."""
    # It adds elements of its own, which the page's policy forbids.
    context, page, _ = opened(browser, url, view, bypass_csp=True)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document)")["violations"]
    context.close()
    return [
        f"axe {one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def first_things_first(browser, url):
    """What a phone shows without any script, from top to bottom; and that paper has it all."""
    context = browser.new_context(**VIEWS["phone"], java_script_enabled=False)
    page = context.new_page()
    page.goto(url, wait_until="load")
    problems = []
    order = ["h1", ".now .verdict", ".now ol li", ".facts .files", ".scroll", "tr[data-what]"]
    tops = [page.locator(selector).first.bounding_box() for selector in order]
    tops = [box and box["y"] for box in tops]
    if None in tops or sorted(tops) != tops:
        problems.append(f"the order: {dict(zip(order, tops))}")
    elif tops[2] > VIEWS["phone"]["viewport"]["height"] * 2 / 3:
        problems.append(f"the first step is {tops[2]} px down")
    page.set_viewport_size({"width": 600, "height": 850})
    page.emulate_media(media="print", color_scheme="dark")
    width = page.locator(".chart").bounding_box()["width"]
    if width > 600 or page.locator(".zoom").first.is_visible():
        problems.append(f"on paper the picture is {width} px wide")
    context.close()
    return problems


def slow(browser, url, plain):
    """Whether the page takes too much work on a phone, beside a plain one; at the best of three."""
    work = {url: [], plain: []}
    for address in [url, plain] * 3:
        context = browser.new_context(**VIEWS["phone"])
        page = context.new_page()
        session = context.new_cdp_session(page)
        # The time that the page's thread runs: what else the machine does isn't in it.
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(address, wait_until="load")
        page.evaluate("new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)))")
        metrics = session.send("Performance.getMetrics")["metrics"]
        work[address] += [one["value"] for one in metrics if one["name"] == "TaskDuration"]
        context.close()
    ratio = min(work[url]) / min(work[plain])
    print(f"{ratio:.2f} times the work of a plain table, {min(work[url]):.3f} s", flush=True)
    return [f"takes {ratio:.1f} times the work of a plain table"] if ratio > PATIENCE else []


# A fault, and what the check has to say about it.
def faults(whole, sid):
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    open_html = policy.sub("", whole)
    lane = re.search(r'<div class="lane stream" data-lane="stream">', whole)
    escaped, raw = (
        "<h1>&lt;script&gt;window.canary=1&lt;/script&gt;",
        "<h1><script>window.canary=1</script>",
    )
    yield (
        "a name that isn't escaped",
        open_html.replace(escaped, raw, 1),
        "a script from outside ran",
    )
    yield "the same, stopped by the policy", whole.replace(escaped, raw, 1), "console: "
    yield (
        "an image from outside",
        open_html.replace("<h1>", '<img src="http://127.0.0.1:9/x.png"><h1>', 1),
        "request to http://127.0.0.1:9",
    )
    yield "a handler", open_html.replace("<h1>", '<h1 onclick="1">', 1), "handlers"
    yield (
        "a link that runs",
        open_html.replace("<h1>", '<a href="javascript:1">x</a><h1>', 1),
        "handlers",
    )
    yield (
        "a lane of a stream is missing",
        whole.replace(lane.group(0), '<div class="lane stream">', 1),
        "lanes of streams",
    )
    yield "no lane of alerts", whole.replace('data-lane="alerts"', "", 1), "lanes alerts"
    yield "a mark is missing", whole.replace('data-mark="callback"', "", 1), "marks of callbacks"
    yield "a row is missing", whole.replace('data-what="callback"', "", 1), "rows of callbacks"
    yield "a bar is missing", whole.replace('data-bar="audio"', "", 1), "audio bars"
    yield (
        "an error in the console",
        open_html.replace("<body>", "<body><script>console.error('planted')</script>", 1),
        "console: planted",
    )
    yield (
        "a dialog",
        open_html.replace("<body>", "<body><script>alert('planted')</script>", 1),
        "dialog: planted",
    )
    yield "no script", re.sub(r"<script>.*?</script>", "", whole, flags=re.S), "no details on hover"
    yield (
        "no details",
        re.sub(r"<title>[^<]*</title>", "", whole.replace("<title>", "<title >", 1)),
        "a mark without details",
    )
    yield (
        "too wide",
        open_html.replace("<h1>", '<h1 style="min-width:3000px">', 1),
        "wider than the window",
    )


def other_faults(browser, axe, plain, whole):
    """The same for the checks that look at a page in their own way."""
    open_html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", whole)
    axe_of = lambda url: readable(browser, axe, url, "phone")
    for name, faulty, says in [
        ("pale ink", open_html.replace("--soft: #59636e", "--soft: #c9ced4"), "axe color-contrast"),
        ("no language", open_html.replace('<html lang="en"', "<html"), "axe html-has-lang"),
        (
            "a button that says nothing",
            re.sub(r"(<button[^>]*>)[^<]*", r"\1", open_html),
            "axe button-name",
        ),
    ]:
        yield name, faulty, axe_of, says
    first = lambda url: first_things_first(browser, url)
    now = re.search(r'<section class="card now">.*?</section>', open_html, re.S).group(0)
    moved = open_html.replace(now, "").replace("</main>", now + "</main>")
    yield "the verdict last", moved, first, "the order"
    pushed = open_html.replace("<h1>", '<p style="height:700px"></p><h1>', 1)
    yield "the verdict far down", pushed, first, "the first step is"
    narrow = open_html.replace(".chart { width: 100%; }", "")
    yield "paper that cuts the picture off", narrow, first, "on paper"
    busy = "<script>let x = 0; for (let i = 0; i < 3e8; i++) x += Math.sqrt(i);</script>"
    yield (
        "a script that takes its time",
        open_html.replace("</main>", "</main>" + busy),
        lambda url: slow(browser, url, plain),
        "takes",
    )


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--target",
        default=ROOT / "target/debug",
        type=pathlib.Path,
        help="where the programs are built",
    )
    options.add_argument(
        "--chromium",
        default=shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome"),
    )
    options.add_argument(
        "--axe", default=ROOT / "target/axe/package/axe.min.js", type=pathlib.Path
    )
    options.add_argument(
        "--pictures", type=pathlib.Path, help="take the README's pictures into this folder"
    )
    options = options.parse_args()
    if not options.chromium:
        sys.exit("missing: chromium")
    axe = options.axe.read_text()
    sessions = {}
    for name in ("composite", "individual", "fatal", "backup", "failover"):
        callbacks = sample(name)
        sessions[callbacks[0]["payload"]["sid"]] = (name, callbacks)
    sent = {"large": large(), "hostile": hostile()}
    sessions |= {name: (name, callbacks) for name, callbacks in sent.items()}
    assert len(sent["large"]) >= 1000 and Expected(sent["large"]).streams == 100, (
        "the large session is one"
    )
    example = Example(options.target / "local")
    folder = pathlib.Path(tempfile.mkdtemp())
    plain = folder / "plain.html"
    plain.write_text(PLAIN)
    failed = pages = planted = 0

    def report(what, problems):
        nonlocal failed
        failed += len(problems)
        for problem in problems:
            print(f"FAILED  {what}: {problem}", flush=True)

    try:
        for callbacks in sent.values():
            for one in callbacks:
                example.post(one)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=options.chromium, args=["--no-sandbox"]
            )
            for sid, (name, callbacks) in sessions.items():
                expected = Expected(callbacks)
                file = folder / f"{name}.html"
                example.page(options.target / "recordings", sid, file)
                views = [(example.link(sid), view) for view in VIEWS] + [
                    (file.as_uri(), "light")
                ]
                for url, view in views:
                    context, page, watch = opened(browser, url, view)
                    report(
                        f"{name}, {view}, {url.split(':')[0]}",
                        check(page, watch, expected, "phone" in view),
                    )
                    context.close()
                    pages += 1
                link = example.link(sid)
                for view in ["phone", "phone, dark"]:
                    report(f"{name}, {view}", readable(browser, axe, link, view))
            fatal = next(sid for sid, (name, _) in sessions.items() if name == "fatal")
            report("fatal, phone", first_things_first(browser, example.link(fatal)))
            report("large, phone", slow(browser, example.link("large"), plain.as_uri()))
            for view in ["phone", "phone, dark"]:
                report(f"list, {view}", readable(browser, axe, example.url + "/", view))
            # The list, and that it is live: what comes while it is open shows up by itself.
            context, page, watch = opened(browser, example.url + "/", "light")
            shown = set(
                page.eval_on_selector_all("tr[data-sid]", "all => all.map(e => e.dataset.sid)")
            )
            report("list", [f"{sid} isn't there" for sid in sessions if sid not in shown])
            example.post(callback("lately", 0, 40, {"status": 0}, T0 + 10**7, HOSTILE[1]))
            try:
                page.wait_for_selector("tr[data-sid=lately]", timeout=15_000, state="attached")
                page.click("tr[data-sid=lately] a")
                page.wait_for_selector("[data-lane=recorder]", state="attached")
                example.post(
                    callback(
                        "lately",
                        1,
                        43,
                        {"streamUid": "7", "state": 0},
                        T0 + 10**7 + 5000,
                        HOSTILE[1],
                    )
                )
                page.wait_for_selector("[data-lane=stream]", timeout=15_000, state="attached")
                # Without scripts it fetches itself whole.
                unscripted = browser.new_context(**VIEWS["phone"], java_script_enabled=False)
                other = unscripted.new_page()
                other.goto(page.url)
                details = {"streamUid": "8", "state": 0}
                at = T0 + 10**7 + 6000
                example.post(callback("lately", 2, 43, details, at, HOSTILE[1]))
                other.wait_for_selector(
                    "[data-lane=stream] >> nth=1", timeout=15_000, state="attached"
                )
                unscripted.close()
            except Exception as error:  # a timeout of the browser's
                report("live", [str(error).splitlines()[0]])
            report(
                "live",
                watch.problems
                + (
                    ["a script from outside ran"]
                    if page.evaluate("window.canary") is not None
                    else []
                ),
            )
            context.close()
            pages += 2
            whole = (folder / "hostile.html").read_text()
            expected = Expected(sent["hostile"])
            for name, faulty, says in faults(whole, "hostile"):
                assert faulty != whole, f"{name}: nothing planted"
                file = folder / "faulty.html"
                file.write_text(faulty)
                context, page, watch = opened(browser, file.as_uri(), "light")
                found = check(page, watch, expected, False)
                if not any(problem.startswith(says) for problem in found):
                    report(f"planted: {name}", [f"not seen; the check says {found or 'nothing'}"])
                context.close()
                planted += 1
            whole = (folder / "fatal.html").read_text()
            for name, faulty, look, says in other_faults(browser, axe, plain.as_uri(), whole):
                assert faulty != whole, f"{name}: nothing planted"
                file = folder / "faulty.html"
                file.write_text(faulty)
                found = look(file.as_uri())
                if not any(problem.startswith(says) for problem in found):
                    report(f"planted: {name}", [f"not seen; the check says {found or 'nothing'}"])
                planted += 1
            if options.pictures:
                pictures(browser, example, sessions, options.pictures)
            browser.close()
    finally:
        example.process.terminate()
        example.process.wait()
        shutil.rmtree(folder)
    if failed:
        sys.exit(f"{failed} problems")
    print(
        f"{pages} pages of {len(sessions)} sessions are as they should be; "
        f"{planted} planted faults were seen"
    )


def pictures(browser, example, sessions, folder):
    sid = next(sid for sid, (name, _) in sessions.items() if name == "individual")
    fatal = next(sid for sid, (name, _) in sessions.items() if name == "fatal")
    for name, sid, view, height in [
        ("session", sid, "light", 960),
        ("session-dark", sid, "dark", 960),
        ("phone", fatal, "phone", 740),
    ]:
        context, page, _ = opened(browser, example.link(sid), view)
        page.set_viewport_size({"width": VIEWS[view]["viewport"]["width"], "height": height})
        page.screenshot(path=folder / f"{name}.png")
        context.close()


if __name__ == "__main__":
    main()
