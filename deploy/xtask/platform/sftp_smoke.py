"""A partner's user of the SFTP server, from the config API to the delivered file."""

import json
import time
import uuid

from checks import ENDED, check, invoke, jobs_of, logged, until
from deploy import client
from sftp import HERE, Key, sftp

GOOD = b"sku,qty\na,1\nb,2\n"
SECRET, WRONG = "correct horse battery", "incorrect horse battery"
# `grace` of `control/sweep/src/config.rs`, and a second: what is younger is left to its event.
GRACE = 61
# `MOST` of `control/identity/src/failures.rs`.
FAILURES = 5
LARGE = 4 << 20
# What `ssh` ends with, and then `sftp` (ssh(1), EXIT STATUS).
NO_CONNECTION = 255
DROP, SAFE = "tenants/acme/drop/", "tenants/acme/safe/"


def routes(outputs, ann):
    """One takes every file that is there, the other one those whose upload was told to have ended."""
    for name, prefix, complete_when in (("drop", DROP, "immediate"), ("safe", SAFE, "transfer_event")):
        route = {
            "match": {"prefix": prefix, "glob": "*.csv"},
            "complete_when": complete_when,
            "executor": "steps",
            "stages": [{"newline": {"to": "crlf"}}],
            "destinations": [{"s3": {"bucket": outputs["OutBucket"], "key": f"acme/{name}/{{name}}", "on_existing": "fail"}}],
        }
        answer = ann.ask("PUT", f"/v1/routes/{name}", route, if_none_match="*")
        check(f"a route for files that come over SFTP is saved ({complete_when})", answer.status == 201)


def users(server, ann):
    """Users are set up over the API, and come in as the function says."""
    keys = {}
    for name, folder in (("acme-erp", "drop/"), ("acme-crm", "safe/")):
        keys[name] = Key(server.folder, name)
        user = {"keys": [keys[name].public], "home": folder, "sources": ["192.0.2.0/24"]}
        answer = ann.ask("PUT", f"/v1/sftp-users/{name}", user, if_none_match="*")
        check(f"a user of the SFTP server is set up: {name}", answer.status == 201)
        check("and comes in with its key", server.admit(name)["PublicKeys"] == [keys[name].public])
    return keys


def denied(endpoint, server, ann, key):
    """Whoever may not come in is told no, and not why."""
    check("nobody comes in whom nobody knows", server.ask("nobody") == {} and server.admit("nobody") == {})
    check("nor from elsewhere", server.ask("acme-erp", source="203.0.113.9") == {})
    check("nor by a protocol that sends passwords in the clear", server.ask("acme-erp", protocol="FTP") == {})
    check("nor with a password where there is none", server.ask("acme-erp", SECRET) == {})
    answer = ann.ask("PUT", "/v1/sftp-users/acme-pos", {"keys": [key.public], "password": SECRET}, if_none_match="*")
    check("a user has a password as well", answer.status == 201 and answer.body["hasPassword"])
    check("which nobody is shown", SECRET not in str(answer) and "argon2" not in str(answer))
    begun = time.monotonic()
    welcome = server.ask("acme-pos", SECRET)
    check(f"it comes in with it, after {1000 * (time.monotonic() - begun):.0f} ms", "Role" in welcome and "PublicKeys" not in welcome)
    check(f"a wrong one is refused, {FAILURES} times", all(server.ask("acme-pos", WRONG) == {} for _ in range(FAILURES)))
    check("then the right one as well", server.ask("acme-pos", SECRET) == {})
    check("and the key is not", server.ask("acme-pos")["PublicKeys"] == [key.public])
    paused = ann.ask("PUT", "/v1/sftp-users/acme-pos", {"keys": [key.public], "paused": True}, if_match=answer.headers["etag"])
    check("a user is paused", paused.status == 200)
    check("and does not come in", server.ask("acme-pos") == {})
    members_only(server, ann, key)
    log = until("the log says why", lambda: "user.paused" in (text := "\n".join(logged(endpoint, "Identity"))) and text)
    reasons = ("protocol", "user.unknown", "partner.paused", "source", "password.none", "password.wrong", "password.locking", "password.locked")
    check("the log says why, of all of them", all(f'"reason":"{reason}"' in log for reason in reasons))
    check("and holds no password", SECRET not in log and WRONG not in log)


def members_only(server, ann, key):
    """A partner's users come in as long as the partner may."""
    shop, folder = "/v1/partners/shop", {"displayName": "The Shop", "folder": "shop/"}
    saved = ann.ask("PUT", shop, folder, if_none_match="*")
    user = {"keys": [key.public], "partner": "shop", "home": "shop/in/"}
    check("a partner is set up", saved.status == 201)
    check("with a user in its folder", ann.ask("PUT", "/v1/sftp-users/shop-erp", user, if_none_match="*").status == 201)
    check("which comes in", "Role" in server.ask("shop-erp"))
    paused = ann.ask("PUT", shop, {**folder, "paused": True}, if_match=saved.headers["etag"])
    check("and does not while the partner is paused", paused.status == 200 and server.ask("shop-erp") == {})
    check("a partner with users is not removed", ann.ask("DELETE", shop, if_match="*").body["code"] == "partner.in_use")
    check("a user is removed", ann.ask("DELETE", "/v1/sftp-users/shop-erp", if_match="*").status == 204)
    check("then its partner", ann.ask("DELETE", shop, if_match="*").status == 204 and ann.ask("GET", shop).status == 404)


def uploads(endpoint, outputs, server, keys):
    """Files are sent with OpenSSH's client, one of them not to its end; gives when."""
    s3 = client(endpoint, "s3")
    (server.folder / "orders.csv").write_bytes(GOOD)
    (server.folder / "whole.csv").write_bytes(GOOD)
    (server.folder / "cut.csv").write_bytes(b"a,1\n" * (LARGE // 4))
    code, said = server.run("acme-erp", keys["acme-erp"], "put orders.csv orders.csv.filepart", "rename orders.csv.filepart orders.csv", "ls -l orders.csv")
    check(f"a file is sent under another name and renamed: {said.strip().splitlines()[-1]}", code == 0 and " 16 " in said)
    code, said = server.run("acme-crm", keys["acme-crm"], "put whole.csv", "ls")
    check("another user sees its own folder and nothing else", code == 0 and "whole.csv" in said and "orders.csv" not in said)
    code, said = server.run("acme-crm", keys["acme-erp"], "ls")
    check("nobody comes in with another's key", code == NO_CONNECTION and "whole.csv" not in said)
    server.cut("acme-crm", keys["acme-crm"], "cut.csv", 3)
    cut = until("the cut file is there", lambda: s3.list_objects_v2(Bucket=outputs["IngestBucket"], Prefix=SAFE + "cut").get("Contents"))
    check(f"what came of a file that was cut is there: {cut[0]['Size']} of {LARGE} bytes", 0 < cut[0]["Size"] < LARGE)
    tell(endpoint, outputs, "cut.csv", "Failed")
    return time.monotonic()


def tell(endpoint, outputs, name, how):
    """Puts into the queue what Transfer Family tells of an upload that has ended, whole or not, as EventBridge brings it
    (Transfer Family user guide, "Transfer Family events detail reference")."""
    there = client(endpoint, "s3").head_object(Bucket=outputs["IngestBucket"], Key=SAFE + name)
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": f"SFTP Server File Upload {how}",
        "source": "aws.transfer",
        "account": "111122223333",
        "time": "2026-11-27T12:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "protocol": "SFTP",
            "bytes": there["ContentLength"],
            "client-ip": HERE,
            "username": "acme-crm",
            "server-id": "s-00000000000000000",
            "session-id": "0000000000000000",
            "file-path": f"/{outputs['IngestBucket']}/{SAFE}{name}",
            "status-code": how.upper(),
            "start-timestamp": "2026-11-27T11:59:59Z",
            "end-timestamp": "2026-11-27T12:00:00Z",
            "etag": there["ETag"].strip('"'),
            **({"failure-code": "PARTIAL_UPLOAD"} if how == "Failed" else {}),
        },
    }
    client(endpoint, "sqs").send_message(QueueUrl=outputs["IngestQueue"], MessageBody=json.dumps(event), MessageGroupId=event["id"])


def job(endpoint, outputs, folder, name, *states):
    """The job of a file, if it is in one of these states."""
    found = jobs_of(endpoint, outputs, folder).get(name)
    return found if found and found["state"] in states else None


def taken(endpoint, outputs):
    """What was sent is found though no event came, and only what is known to be whole is processed."""
    s3 = client(endpoint, "s3")
    waits = until("a job of cut.csv", lambda: job(endpoint, outputs, SAFE, "cut.csv", "INCOMPLETE"))
    check(f"a file whose upload was cut waits: {waits['reason']}", "broke" in waits["reason"])
    report = invoke(endpoint, outputs["SweepFunction"], {})
    check(f"the sweep finds what no event told of: {report['found']} files", report["errors"] == 0)

    orders = until("the job of orders.csv has ended", lambda: job(endpoint, outputs, DROP, "orders.csv", *ENDED))
    check("a file that came over SFTP is processed", orders["state"] == "SUCCEEDED")
    body = s3.get_object(Bucket=outputs["OutBucket"], Key="acme/drop/orders.csv")["Body"].read()
    check("and delivered as the route makes it", body == GOOD.replace(b"\n", b"\r\n"))
    check("where the end has to be told, a whole file waits as well", job(endpoint, outputs, SAFE, "whole.csv", "INCOMPLETE"))
    tell(endpoint, outputs, "whole.csv", "Completed")
    whole = until("the job of whole.csv has ended", lambda: job(endpoint, outputs, SAFE, "whole.csv", *ENDED))
    check("what was told to be whole is processed", whole["state"] == "SUCCEEDED")
    check("what was cut never is", job(endpoint, outputs, SAFE, "cut.csv", "INCOMPLETE"))
    found = s3.list_objects_v2(Bucket=outputs["OutBucket"], Prefix="acme/safe/")["Contents"]
    check("and nothing of it came to stand", [one["Key"] for one in found] == ["acme/safe/whole.csv"])


def partner(endpoint, outputs, ann, meanwhile):
    """All of it; `meanwhile`, which is given the server, is done while the sweep would leave the files to their events."""
    with sftp(endpoint, outputs) as server:
        routes(outputs, ann)
        keys = users(server, ann)
        sent = uploads(endpoint, outputs, server, keys)
        denied(endpoint, server, ann, keys["acme-erp"])
        meanwhile(server)
        time.sleep(max(0, sent + GRACE - time.monotonic()))
        taken(endpoint, outputs)
