"""The portal on the platform that stands, in a browser: people sign in, look, and act, and the API says what came of it."""

import hashlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import eft
from browser import browser
from checks import ENDED, KEPT, check, until
from issuer import base64url
from overview import PREFIX
from portal_server import CLIENT, SCOPE, portal
from stand import FOLDER

# A route, and a place that acme may deliver to beside its own.
ROUTE, PLACE = "portal", "portal/"
WIDE, NARROW = 1280, 400
# A page of a list, where nobody says how many it is to hold (`limit` of `control/api/src/call.rs`).
PAGE = 50
# In seconds; the page ends a session 5 s before its token.
SHORT_LIFE = 7


class People:
    """A browser in which one of the issuer's people is signed in at a time."""

    def __init__(self, page, env):
        self.page, self.env = page, env

    def sign_in(self, name):
        self.page.press("button", "Sign in")
        self.page.press("button", name)
        self.page.the("button", "Sign out")

    def sign_out(self):
        self.page.press("button", "Sign out")
        self.page.sees("You are signed out.")

    def at(self, place, *words):
        """Goes to a page, waits until it says so, and holds it to what every page promises."""
        page = self.page
        page.run(f"location.hash = {json.dumps('#/' + place)}")
        for said in words:
            page.sees(said)
        for width in (NARROW, WIDE):
            page.size(width, 800)
            wider = page.too_wide()
            if wider > 0:
                raise SystemExit(f"#/{place} is {wider} px wider than a window of {width}")
        if nameless := page.nameless():
            raise SystemExit(f"#/{place} has no name for a {', a '.join(nameless)}")


def signed_in_by_code_only(it, url):
    """What the issuer must refuse, or the portal's sign-in would show nothing."""
    verifier = "a" * 43
    asked = {
        "response_type": "code", "client_id": CLIENT, "redirect_uri": url, "scope": SCOPE, "state": "s", "nonce": "n",
        "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest()), "code_challenge_method": "S256",
    }  # fmt: skip

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())

    def post(path, words):
        try:
            with opener.open(it.tokens.url + path, urllib.parse.urlencode(words).encode(), timeout=10) as answer:
                return answer.status, answer.headers, json.loads(answer.read())
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers, None

    def code():
        _, headers, _ = post("/authorize", {**asked, "person": "vera"})
        return urllib.parse.parse_qs(urllib.parse.urlsplit(headers["location"]).query)["code"][0]

    def exchange(one, **changes):
        words = {"grant_type": "authorization_code", "code": one, "client_id": CLIENT, "redirect_uri": url, "code_verifier": verifier}
        return post("/token", {**words, **changes})

    elsewhere, _, _ = post("/authorize", {**asked, "person": "vera", "redirect_uri": "http://127.0.0.1:9/"})
    check("the issuer sends nobody to an address that is not the portal's", elsewhere == 400)
    _, headers, _ = post("/authorize", {**asked, "person": "vera", "code_challenge_method": "plain"})
    check("nor takes a sign-in without PKCE", "error=invalid_request" in headers["location"])
    one = code()
    got, again = exchange(one), exchange(one)
    check("a code is good once", (got[0], again[0]) == (200, 400) and got[2]["scope"] == "config:read jobs:read")
    wrong = [exchange(code(), **change)[0] for change in ({"code_verifier": "b" * 43}, {"redirect_uri": url + "x"}, {"client_id": "other"})]
    check("and only with its verifier, its address and its client", wrong == [400, 400, 400])


def a_viewer_looks(people, table):
    """Somebody who may only look sees the overview's jobs, and is offered nothing else."""
    page = people.page
    people.sign_in("Vera Viewer")
    kept = page.run("Object.keys(localStorage).length + Object.keys(sessionStorage).length + (location.search + document.cookie).length")
    check("somebody signs in with a code and PKCE, and nothing of it is kept where others find it", kept == 0)
    links = [name for name in ("Jobs", "Routes", "Audit trail", "Fleet") if page.has("link", name)]
    check("who may look is offered what is looked at", links == ["Jobs", "Routes", "Audit trail"])
    people.at("jobs", "these are all")
    page.fill("Route", "overview")
    page.press("button", "List")
    page.sees(f"{PREFIX}large.csv")
    page.press("link", "large.csv")
    job = table.large["id"]
    for said in (job, "Succeeded", "History", "Download the receipt", "Runs"):
        page.sees(said)
    seen = page.run("location.hash") == f"#/jobs/{job}" and not page.has("button", "Replay")
    table.shows("UI", "somebody signs in, finds the overview's large.csv by its route, and sees its state, runs and history", seen)
    people.at(f"jobs/{job}", "Download the receipt", "these are all")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(FOLDER))
    page.press("button", "Download the receipt")
    receipt = FOLDER / f"receipt-{job}.2.json"
    until("the receipt was downloaded", lambda: receipt.exists() and receipt.stat().st_size > 0)
    verified = subprocess.run([eft.WORKER, "verify", receipt], env=people.env, capture_output=True, check=False)
    check("its receipt is downloaded to the letter: `eft-worker verify` takes it", verified.returncode == 0)
    people.at("routes/overview", "As it stands", PREFIX)
    check("and is not offered to change a route", not page.has("link", "Edit") and not page.has("button", "Pause"))
    people.sign_out()


def by_keyboard(people):
    """Somebody without a mouse signs in, and comes to the page without going through the menu."""
    page = people.page

    def to(role, name, most=12):
        for _ in range(most):
            if page.found(role, name, "all => all.includes(document.activeElement)"):
                page.key("Enter")
                return
            page.key("Tab")
        raise SystemExit(f"the keyboard does not come to the {role} called {name!r}")

    to("button", "Sign in")
    page.the("button", "Ada Admin")
    to("button", "Ada Admin")
    page.the("button", "Sign out")
    page.run("document.activeElement.blur()")
    to("link", "Skip to the page")
    page.until("the page has the focus", lambda: page.run("document.activeElement.id") == "main")
    check("the keyboard is enough to sign in, and skips the menu", True)


def rejected(people, table):
    """What is wrong with a file, and what to do about it."""
    page = people.page
    people.at("jobs?state=REJECTED", "these are all")
    page.press("link", "bad.csv")
    page.sees("What to do: the sender corrects the records in the reject report")
    page.press("button", "Reject report")
    page.the("table", "1 record broke a rule")
    why = page.run("[...document.querySelectorAll('[data-label=Why]')].map((one) => one.innerText)[0]")
    table.shows("UI", f"a rejected file says what to do, and which record broke a rule: {why}", why.startswith("not an integer"))
    people.at("jobs/00000000-0000-0000-0000-000000000000", "There is no such job", "job.not_found", "What to do: look the job up")
    people.at("arrivals?state=UNROUTED", "none.pdf")
    people.at("arrivals?state=INCOMPLETE", "They are not known to be whole yet")


def acted(people, table, api):
    """Somebody who may act has a job run again, and says why."""
    page, job = people.page, table.large["id"]
    why = "to see the portal"
    people.at(f"jobs/{job}", "Download the receipt")
    page.press("button", "Replay")
    page.the("dialog", "Replay: large.csv")
    page.key("Escape")
    page.until("the dialog is closed by a key", lambda: not page.has("dialog", "Replay: large.csv"))
    before = api.ask("GET", f"/v1/jobs/{job}").body["generation"]
    page.press("button", "Replay")
    page.fill("Reason", why)
    page.press("button", "Replay")
    page.sees("Replay: done")
    row = until("the replay has ended", lambda: (read := api.ask("GET", f"/v1/jobs/{job}").body)["state"] in ENDED and read)
    events = [(event["actor"], event["reason"]) for event in api.ask("GET", f"/v1/jobs/{job}/events").body["items"] if event.get("reason") == why]
    holds = (row["generation"], events) == (before + 1, [("principal:ada", why)])
    [sent] = [request["headers"] for request in page.requests if request["url"].endswith(f"{job}:replay")]
    names = {name.lower() for name in sent}
    check("it is asked for of the job as it was read, and once", names >= {"if-match", "idempotency-key"})
    table.shows("UI -->|routes/jobs| APIGW", f"a replay with a reason: run {row['generation']}, by ada in the job's history", holds)
    page.until("the page follows the job to its end", lambda: page.has("link", str(before + 1)) and "Succeeded" in page.text())


def saved(people, table, api, route):
    """A route is made, changed, changed over what somebody else has changed, and paused."""
    page, path = people.page, f"/v1/routes/{ROUTE}"
    text = json.dumps(route, indent=2)
    people.at("new-route", "Text (JSON)")
    page.fill("Name", ROUTE)
    page.fill("Text (JSON)", text.replace('"fail"', '"sometimes"').replace('"integer"', '"interger"'))
    page.press("button", "Validate")
    for said in ("2 places are wrong", "/destinations/0/s3/on_existing", "/stages/0/validate/csv/types/qty", "did you mean `integer`?"):
        page.sees(said)
    check("what is wrong with a route is shown, each with its path", page.has("button", "line 15"))
    page.fill("Text (JSON)", text)
    page.press("button", "Create")
    page.sees(f"{ROUTE} is saved")
    check("a route is created", api.ask("GET", path).body["changedBy"] == "ada")

    people.at(f"routes/{ROUTE}/edit", "Text (JSON)")
    mine = page.value("Text (JSON)").replace('"small": 104857600', '"small": 4096')
    read = api.ask("GET", path)
    theirs = api.ask("PUT", path, {**route, "digests": ["sha256"]}, if_match=read.headers["etag"])
    check("somebody else changes it meanwhile", theirs.status == 200)
    page.fill("Text (JSON)", mine)
    page.press("button", "Save")
    page.sees("Someone else has changed it")
    both = [page.has("figure", said) for said in ("From what you have read to change 2", "From change 2 to your text")]
    unsaved = api.ask("GET", path).body["revision"] == theirs.body["revision"]
    table.shows("UI", "a route that somebody else has changed is not saved over it (412), and both changes are shown", all(both) and unsaved)
    page.press("button", "Go on with my text, over theirs")
    page.press("button", "Save")
    page.until("the page of the saved route", lambda: page.run("location.hash") == f"#/routes/{ROUTE}")
    now = api.ask("GET", path).body
    holds = (now["change"], now["route"]["small"], now["changedBy"]) == (3, 4096, "ada")
    table.shows("UI -->|routes/jobs| APIGW", "a route is saved twice, the second time over what was read anew", holds)

    people.at(f"routes/{ROUTE}", "Change")
    page.press("button", "Pause")
    page.sees("Files that come wait")
    page.press("button", "Pause")
    page.sees(f"{ROUTE} is paused")
    table.shows("UI -->|routes/jobs| APIGW", "and paused", api.ask("GET", path).body["state"] == "paused")
    page.the("button", "Activate")
    people.at(f"routes/{ROUTE}/revisions?from=1&to=3", "From change 1 to change 3", '"small": 4096', "these are all")
    people.at(f"routes/{ROUTE}/revisions/1", f"Route {ROUTE} at 1", "Changed by", "\"match\"")
    people.at(f"simulate?name=overview/new.csv&size={1 << 20}", "Accepted", "Run by", "a worker", "Where it would go")


def may(table, *prefixes, paused=False):
    """Where the tenant may deliver to, and whether anything of it is started, for programs that look at it from now on."""
    admin = table.it.api.as_(table.it.tokens.token("platform", "admin"))
    read = admin.ask("GET", "/v1/tenants/acme")
    outputs = [{"bucket": table.outputs["OutBucket"], "prefix": prefix} for prefix in prefixes]
    saved = admin.ask("PUT", "/v1/tenants/acme", {**read.body["tenant"], "outputs": outputs, "paused": paused}, if_match=read.headers["etag"])
    check(f"acme {'is paused, and ' if paused else ''}may deliver to {' and '.join(prefixes)}", saved.status == 200)
    time.sleep(KEPT)


def mended(people, table, api):
    """What cannot be delivered is given up, sent on, or brought where it did not come, by who is asked to in the portal."""
    page, outputs, s3 = people.page, table.outputs, table.it.client("s3")
    reason = "the place is seen to"

    def upload(name):
        s3.put_object(Bucket=outputs["IngestBucket"], Key=f"tenants/acme/{ROUTE}/{name}", Body=b"sku,qty\na,1\n")

    def stands(name, state, *words):
        """The file's page, once its job stands so; gives the job."""
        def there():
            jobs = api.ask("GET", f"/v1/jobs?route={ROUTE}").body["items"]
            return [one for one in jobs if one["key"].endswith(f"/{name}") and one["state"] == state]

        [job] = until(f"{name} is {state}", there)
        people.at(f"jobs/{job['job']}", *words)
        return job["job"]

    def asked(job, verb):
        page.press("button", verb)
        page.fill("Reason", reason)
        page.press("button", verb)
        page.sees(f"{verb}: done")
        events = api.ask("GET", f"/v1/jobs/{job}/events").body["items"]
        return [event["actor"] for event in events if event.get("reason") == reason] == ["principal:ada"]

    def delivered(*names):
        """How many versions stand of each name."""
        of = {"Bucket": outputs["OutBucket"], "Prefix": PLACE}
        versions = [one["Key"].removeprefix(PLACE) for one in s3.list_object_versions(**of).get("Versions", [])]
        return [versions.count(name) for name in names]

    people.at(f"routes/{ROUTE}")
    page.press("button", "Activate")
    page.sees("It takes files again")
    page.press("button", "Activate")
    page.sees(f"{ROUTE} is active")
    may(table, "acme/", PLACE, paused=True)
    for name in ("given-up.csv", "sent-on.csv"):
        upload(name)
        stands(name, "ACCEPTED", "Accepted")
    may(table, "acme/")
    table.it.sweep()
    given_up = stands("given-up.csv", "HELD", "destination.withdrawn", "What to do:", "It goes on when somebody resumes it.")
    holds = asked(given_up, "Cancel the job")
    page.sees("Cancelled")
    sent_on = stands("sent-on.csv", "HELD", "destination.withdrawn")
    holds = holds and delivered("given-up.csv", "too/given-up.csv", "sent-on.csv", "too/sent-on.csv") == [0, 0, 0, 0]
    table.shows("UI", "what may not be delivered waits; it is cancelled with a reason, and nothing of it is delivered", holds)
    may(table, "acme/", PLACE)
    holds = asked(sent_on, "Resume")
    holds = holds and stands("sent-on.csv", "SUCCEEDED", "Succeeded") == sent_on and delivered("sent-on.csv", "too/sent-on.csv") == [1, 1]
    table.shows("UI", "or resumed where it may be again, and is delivered once to each destination", holds)

    at = {"Bucket": outputs["OutBucket"], "Key": f"{PLACE}halved.csv"}
    taken = s3.put_object(**at, Body=b"of somebody else")["VersionId"]
    upload("halved.csv")
    halved = stands("halved.csv", "PARTIALLY_DELIVERED", "destination.exists", "What to do:")
    s3.delete_object(**at, VersionId=taken)
    holds = delivered("halved.csv", "too/halved.csv") == [0, 1] and asked(halved, "Redeliver")
    holds = holds and stands("halved.csv", "SUCCEEDED", "Succeeded") == halved and delivered("halved.csv", "too/halved.csv") == [1, 1]
    table.shows("UI", "a file that one of two destinations did not take is redelivered to that one alone", holds)


def listed(people, api):
    """Everything else has a page, and lists are paged through."""
    page = people.page
    people.at("routes", ROUTE)
    partners = api.ask("GET", "/v1/partners").body["items"]
    people.at("partners", "Partners, by name" if partners else "There are no partners yet")
    people.at("users", "acme-overview")
    count = len(api.ask("GET", "/v1/audit?limit=200").body["items"])
    # Enough for a second page, whatever was done before.
    for turn in range(count, PAGE + 2):
        api.ask("POST", f"/v1/routes/{ROUTE}:{'activate' if turn % 2 else 'pause'}", idempotency_key=f"portal-{turn}")
    people.at("audit", f"{PAGE} shown")
    page.press("button", "Show more")
    page.until("more than a page", lambda: page.run("document.querySelectorAll('tbody tr').length") > PAGE)
    check("a list is paged through by its cursor", True)
    people.at("nothing", "There is no such page")


def expired(people, it):
    """Whose session ends is told so, and is back where they were when they have signed in again."""
    page = people.page
    people.sign_out()
    page.run("location.hash = '#/jobs?route=overview'")
    it.tokens.life = SHORT_LIFE
    page.press("button", "Sign in")
    page.press("button", "Otto Operator")
    page.sees("Your session has expired")
    check("a session ends with its token, and says so", not page.has("link", "Jobs"))
    it.tokens.life = 600
    people.sign_in("Otto Operator")
    page.sees(f"{PREFIX}large.csv")
    check("and goes on where it was", page.run("location.hash") == "#/jobs?route=overview")
    people.sign_out()


def operated(people, table):
    """Who runs the platform sees its queues."""
    people.sign_in("Olga Operations")
    people.at("fleet", "Dead letters", "undelivered")
    table.shows("UI", "who runs the platform sees the queues, and is offered to redrive", people.page.has("button", "Redrive work"))
    people.sign_out()


def served(url):
    """The page runs no script but its own file."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        policy, body = answer.headers["content-security-policy"], answer.read().decode()
    check("the page has a policy for its content, and no inline script", "script-src 'self';" in policy and "<script>" not in body)


def seen(table):
    """All of it, on the platform of the overview, whose jobs have ended."""
    it, began = table.it, time.monotonic()
    mia = it.api.as_(it.tokens.token("acme", "config:write jobs:write", "mia"))
    route = {
        "match": {"prefix": f"tenants/acme/{ROUTE}/", "glob": "*.csv"},
        "stages": [{"validate": {"csv": {"header": ["sku", "qty"], "types": {"qty": "integer"}}}}],
        "destinations": [
            {"s3": {"bucket": it.outputs["OutBucket"], "key": f"{PLACE}{{name}}", "on_existing": "fail"}},
            {"s3": {"bucket": it.outputs["OutBucket"], "key": f"{PLACE}too/{{name}}", "on_existing": "version"}},
        ],
    }
    with portal(it) as url, browser(FOLDER) as page:
        served(url)
        signed_in_by_code_only(it, url)
        people = People(page, it.env)
        page.go(url)
        a_viewer_looks(people, table)
        by_keyboard(people)
        rejected(people, table)
        acted(people, table, mia)
        may(table, "acme/", PLACE)
        saved(people, table, mia, route)
        mended(people, table, mia)
        listed(people, mia)
        expired(people, it)
        operated(people, table)
        paths = [("Status", "GET", f"/v1/jobs/{table.large['id']}"), ("Config", "PUT", f"/v1/routes/{ROUTE}")]
        by = [sorted({line["subject"] for line in table.called(*path) if line["subject"] in ("vera", "ada")}) for path in paths]
        said = "the functions' logs name vera and ada, each with the token that the portal got for them"
        table.shows("UI -->|routes/jobs| APIGW", said, by == [["ada", "vera"], ["ada"]])
        check("no page has complained in its console", page.complaints == [])
    print(f"  the portal was seen in {time.monotonic() - began:.1f} s", flush=True)
