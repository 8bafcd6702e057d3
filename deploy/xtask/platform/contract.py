"""Both HTTP APIs are what their documents say: schemathesis asks what the documents allow and forbid, and looks at every answer.

What it looks at, and what it leaves alone and why: `contract.toml` and `contract_checks.py`.
"""

import collections
import json
import subprocess
import time

import eft
from checks import check
from stand import FOLDER

CONFIG = eft.OWN / "platform/contract.toml"
DOCUMENTS = {"config": "/v1/openapi.json", "status": "/v1/status/openapi.json"}
# Longer than it takes on a machine that does something else as well.
WITHIN = 300
# What is never done here: no job is held, and MiniStack 1.5.33 moves no messages.
NEVER = {"resumeJob", "redriveDeadLetters"}


def existing(it, admin):
    """What parameters can stand for, so that more is asked about than what is not there; the first of each is what is changed."""
    tenant = {"outputs": [{"bucket": it.outputs["OutBucket"], "prefix": "initech/"}]}
    check("a tenant to be changed is set up", admin.ask("PUT", "/v1/tenants/initech", tenant, if_none_match="*").status == 201)
    for name in ("spare", "other"):
        check(f"a partner to be changed is set up: {name}", admin.ask("PUT", f"/v1/partners/{name}", {}, if_none_match="*").status == 201)
    lists = ("jobs?route=small", "arrivals?state=UNROUTED", "routes", "sftp-users", "partners")
    jobs, unrouted, routes, users, partners = (admin.ask("GET", f"/v1/{path}").body["items"] for path in lists)
    [halved, *_] = admin.ask("GET", "/v1/jobs?state=PARTIALLY_DELIVERED").body["items"]
    # One with broken records has everything that can be asked for.
    jobs = [job for job in jobs if job["key"].endswith("/bad.csv")]
    return {
        "path.job": [job["job"] for job in [*jobs, halved, unrouted[0]]],
        "path.name": [route["name"] for route in routes],
        "path.user": [user["name"] for user in users],
        "path.partner": [partner["name"] for partner in partners],
        "path.tenant": ["initech"],
        "path.revision": ["1"],
        # Of whose messages none can be moved.
        "path.queue": ["undelivered"],
        "query.run": [1],
    }


def config_of(known):
    """The settings, with what exists."""
    lines = [CONFIG.read_text()]
    for at, (name, values) in enumerate(known.items()):
        check(f"there is something for {name}", values)
        lines.append(f"[dictionaries.known-{at}]\nvalues = {json.dumps(values)}\n")
    lines.append("[parameters]")
    lines.extend(f'"{name}" = {{ dictionary = "known-{at}", probability = 0.9 }}' for at, name in enumerate(known))
    path = FOLDER / "contract.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def answers(report):
    """How often each operation was answered with which status, by its method and path."""
    seen = collections.defaultdict(collections.Counter)
    with report.open() as lines:
        for line in lines:
            for event in json.loads(line).values():
                recorder = event.get("recorder", {})
                for interaction in recorder.get("interactions", {}).values():
                    if interaction.get("response"):
                        seen[recorder["label"]][interaction["response"]["status_code"]] += 1
    return seen


def contract(it):
    """Runs it on the platform as it stands, with routes, users and jobs of the tenant `acme`."""
    token = it.tokens.token("acme", "admin", "fay")
    admin = it.api.as_(token)
    known = existing(it, admin)
    config = config_of(known)
    first = {name.partition(".")[2]: values[0] for name, values in known.items()}
    # The last two jobs are one that has a delivery to do again, and one that nobody has run.
    halved, unrouted = known["path.job"][-2:]
    env = {
        **it.env,
        "EFT_TOKEN": token,
        "EFT_KNOWN": json.dumps({"any": first, "cancelJob": {"job": unrouted}, "redeliverJob": {"job": halved}}),
        "EFT_PLACE": json.dumps({"folder": "tenants/acme/contract/", "bucket": it.outputs["OutBucket"], "key": "acme/contract/"}),
        "SCHEMATHESIS_HOOKS": "contract_checks",
        "PYTHONPATH": str(eft.OWN / "platform"),
    }
    for name, path in DOCUMENTS.items():
        begun = time.monotonic()
        report, log = FOLDER / f"contract-{name}.ndjson", FOLDER / f"contract-{name}.log"
        command = [eft.TOOLS / "st", "--config-file", config, "run", it.api.url + path, "--url", it.api.url, "--no-color"]
        with log.open("w") as out:
            try:
                code = subprocess.run(
                    [*command, "--report", "ndjson", "--report-ndjson-path", report],
                    env=env, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=WITHIN, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = f"it was stopped after {WITHIN} s"
        if code:
            print(log.read_text())
            raise SystemExit(f"wrong: the {name} API is what its document says: {code}")
        seen = answers(report)
        asked = sum(counts.total() for counts in seen.values())
        print(f"  the {name} API is what its document says: {asked} requests in {time.monotonic() - begun:.0f} s", flush=True)
        never = []
        for pattern, methods in admin.ask("GET", path).body["paths"].items():
            for method, operation in methods.items():
                statuses = seen[f"{method.upper()} {pattern}"]
                if not any(200 <= status < 300 for status in statuses):
                    never.append(operation["operationId"])
        check(f"each operation was done, but for {never}", set(never) <= NEVER)
