"""The core stack on a MiniStack of its own, and whether its parts are joined: what arrives becomes a job and is told.

Each check is of what only the template says: names in the environment of a function, permissions aside, which MiniStack does
not look at.
"""

import json
import time

import eft
import executors
import portal
from api import Api
from checks import ENDED, KEPT, check, invoke, jobs_of, until
from contract import contract
from deploy import client
from overview import Overview
from sftp_smoke import partner
from stand import stand

FILES = {"good.csv": b"sku,qty\na,1\nb,2\n", "bad.csv": b"sku,qty\na,one\n"}
KEY = 'tenants/acme/in/a "b"+ä%20.csv'


def route(outputs, folder, executor):
    """A route as a document: it checks a table, changes its line ends, and delivers it to the tenant's place."""
    return {
        "match": {"prefix": f"tenants/acme/{folder}/", "glob": "*.csv"},
        "executor": executor,
        "stages": [{"validate": {"csv": {"header": ["sku", "qty"], "types": {"qty": "integer"}}}}, {"newline": {"to": "crlf"}}],
        "destinations": [{"s3": {"bucket": outputs["OutBucket"], "key": f"acme/{folder}/{{name}}", "on_existing": "fail"}}],
    }


def arrival(it):
    """A file that no route takes becomes one job that says so, and the topic tells it."""
    outputs = it.outputs
    s3, dynamo, sqs = (it.client(service) for service in ("s3", "dynamodb", "sqs"))
    told = it.listener("told", outputs["EventsTopic"])
    version = s3.put_object(Bucket=outputs["IngestBucket"], Key=KEY, Body=b"sku,qty\n")["VersionId"]
    rows = until("a job", lambda: dynamo.scan(TableName=outputs["JobsTable"], ConsistentRead=True)["Items"])
    job = json.loads(rows[0]["row"]["S"])
    check("a file becomes a job", len(rows) == 1 and job["state"] == "UNROUTED")
    check("of its bucket, key and version", job["arrival"] == {"bucket": "ingest", "key": KEY, "version_id": version})
    [message] = until("an event", lambda: sqs.receive_message(QueueUrl=told, WaitTimeSeconds=1).get("Messages"))
    event = json.loads(message["Body"])
    check("its event is told as a CloudEvent", event["specversion"] == "1.0" and event["data"]["state"] == "UNROUTED")
    history = dynamo.scan(TableName=outputs["RunsTable"])["Items"]
    check("and is in the history", any(item["sk"]["S"].startswith("event#") for item in history))

    def waiting():
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        queues = ("IngestQueue", "IngestDeadQueue", "UndeliveredQueue")
        asked = [sqs.get_queue_attributes(QueueUrl=outputs[queue], AttributeNames=list(counts))["Attributes"] for queue in queues]
        return sum(int(answer[count]) for answer in asked for count in counts)

    until("empty queues", lambda: waiting() == 0)
    check("no event is left, and none was set aside", waiting() == 0)
    return job


def sweep(endpoint, outputs):
    """The sweep finds its way around, and nothing to do."""
    report = invoke(endpoint, outputs["SweepFunction"], {})
    check(f"the sweep lists what has arrived: {report}", report["listed"] == 1)
    check("and could do all it had to", report["errors"] == 0 and not report["out_of_time"])
    rows = client(endpoint, "dynamodb").scan(TableName=outputs["JobsTable"], ConsistentRead=True)["Items"]
    check("one file is still one job", len(rows) == 1)
    schedules = client(endpoint, "scheduler").list_schedules()["Schedules"]
    targets = [schedule["Target"]["Arn"].rsplit(":", 1)[1] for schedule in schedules]
    check("a schedule calls it", targets == [outputs["SweepFunction"]])


def machine(endpoint, outputs):
    """The machine calls the stage function that was deployed with it."""
    described = client(endpoint, "stepfunctions").describe_state_machine(stateMachineArn=outputs["StateMachine"])
    states = json.loads(described["definition"])["States"].values()
    called = {state["Arguments"]["FunctionName"].rsplit(":", 1)[1] for state in states if state["Type"] == "Task"}
    check(f"the machine is {described['type']}", outputs["StateMachine"].endswith(described["type"]))
    check("its states call the stage function", called == {outputs["StageFunction"]})


def configured(endpoint, outputs, issuer):
    """Whoever has a token of the issuer sets a tenant up, and the tenant's people its routes; nobody else does."""
    nobody = Api(endpoint, outputs["ApiUrl"])
    answer = nobody.ask("GET", "/v1/openapi.json")
    check("without a token the API says how to ask", answer.status == 200 and answer.body["openapi"].startswith("3.1"))
    check("and nothing else", nobody.ask("GET", "/v1/routes").status == 401)
    forged = nobody.as_(issuer.token("acme", "admin")[:-8] + "AAAAAAAA")
    check("nor to whoever signs tokens himself", forged.ask("GET", "/v1/routes").status == 401)
    expired = nobody.as_(issuer.token("acme", "admin", exp=1))
    check("nor to whose token has expired", expired.ask("GET", "/v1/routes").status == 401)

    admin, ann = nobody.as_(issuer.token("platform", "admin")), nobody.as_(issuer.token("acme", "config:write"))
    eve = nobody.as_(issuer.token("globex", "config:write", "eve"))
    tenant = {"outputs": [{"bucket": outputs["OutBucket"], "prefix": "acme/"}]}
    check("a tenant cannot set itself up", ann.ask("PUT", "/v1/tenants/acme", tenant, if_none_match="*").status == 403)
    check("the platform's people can", admin.ask("PUT", "/v1/tenants/acme", tenant, if_none_match="*").status == 201)
    small = route(outputs, "small", "steps")
    answer = ann.ask("PUT", "/v1/routes/small", small, if_none_match="*")
    check("the tenant's people save a route", answer.status == 201)
    tag = answer.headers["etag"]
    check("it is the token's tenant's", ann.ask("GET", "/v1/routes/small").body["route"]["tenant"] == "acme")
    check("others do not see it", eve.ask("GET", "/v1/routes/small").status in (403, 404))
    changed = {**small, "digests": ["sha256"]}
    check("who has read it changes it", ann.ask("PUT", "/v1/routes/small", changed, if_match=tag).status == 200)
    check("who has read what it was does not", ann.ask("PUT", "/v1/routes/small", small, if_match=tag).status == 412)
    trail = reversed(ann.ask("GET", "/v1/audit").body["items"])
    said = [(entry["what"], entry["on"].removeprefix("/v1/"), entry.get("code")) for entry in trail]
    tenants = [("putTenant", "tenants/acme", code) for code in ("auth.scope", None)]
    saves = [("putRoute", "routes/small", code) for code in (None, None, "precondition.failed")]
    check("the audit trail says who has changed what, and who has tried", said == [*tenants, *saves])
    check("a second one is saved", ann.ask("PUT", "/v1/routes/large", route(outputs, "large", "worker"), if_none_match="*").status == 201)
    return ann


def upload(endpoint, outputs, folder):
    """Puts the files there, and gives their jobs when all have ended."""
    for name, body in FILES.items():
        client(endpoint, "s3").put_object(Bucket=outputs["IngestBucket"], Key=folder + name, Body=body)

    def ended():
        jobs = jobs_of(endpoint, outputs, folder)
        return jobs if len(jobs) == len(FILES) and all(job["state"] in ENDED for job in jobs.values()) else None

    return until(f"the jobs of {folder} have ended", ended)


def delivered(endpoint, outputs, folder, jobs):
    """The good file stands there as the route makes it, once; the bad one was rejected."""
    s3 = client(endpoint, "s3")
    check("a good file is delivered", jobs["good.csv"]["state"] == "SUCCEEDED")
    body = s3.get_object(Bucket=outputs["OutBucket"], Key=f"acme/{folder}/good.csv")["Body"].read()
    check("as the route makes it", body == FILES["good.csv"].replace(b"\n", b"\r\n"))
    check("a bad one is rejected", (jobs["bad.csv"]["state"], jobs["bad.csv"]["failure"]["code"]) == ("REJECTED", "validation"))
    versions = s3.list_object_versions(Bucket=outputs["OutBucket"], Prefix=f"acme/{folder}/")["Versions"]
    check("and nothing else came to stand", [version["Key"] for version in versions] == [f"acme/{folder}/good.csv"])


def executed(endpoint, outputs):
    """Files come through both executors: router, then state machine or queue and worker."""
    for folder in ("small", "large"):
        delivered(endpoint, outputs, folder, upload(endpoint, outputs, f"tenants/acme/{folder}/"))


def followed(endpoint, outputs, issuer):
    """Whoever has sent a file sees over HTTP what became of it and acts on it; nobody else does."""
    nobody = Api(endpoint, outputs["ApiUrl"])
    check("the status API says how to ask", nobody.ask("GET", "/v1/status/openapi.json").status == 200)
    check("and nothing else", nobody.ask("GET", "/v1/jobs").status == 401)
    ann, eve = nobody.as_(issuer.token("acme", "jobs:write")), nobody.as_(issuer.token("globex", "jobs:write", "eve"))
    admin = nobody.as_(issuer.token("platform", "admin", "root"))

    def listed(path):
        answer = ann.ask("GET", path)
        return {item["key"].rsplit("/", 2)[-2] + "/" + item["key"].rsplit("/", 1)[-1] for item in answer.body["items"]}

    until("both rejected files are listed", lambda: listed("/v1/jobs?state=REJECTED") == {"small/bad.csv", "large/bad.csv"})
    until("and a route's own", lambda: listed("/v1/jobs?route=large") == {"large/good.csv", "large/bad.csv"})
    check("jobs are listed by state and by route", ann.ask("GET", "/v1/jobs?route=large&state=REJECTED").status == 400)
    unrouted = {"in/" + KEY.rsplit("/", 1)[-1], "overview/none.pdf"}
    check("what no route took is listed", listed("/v1/arrivals?state=UNROUTED") == unrouted)
    rejected = ann.ask("GET", "/v1/jobs?state=REJECTED&limit=1").body["items"][0]
    path = f"/v1/jobs/{rejected['job']}"
    job = ann.ask("GET", path).body
    check(f"a job says what to do about it: {job['acts']}", job["failure"]["remedy"] and job["acts"] == ["replay"])
    check("others do not see it", eve.ask("GET", path).status == 404 and eve.ask("GET", "/v1/jobs").body["items"] == [])
    receipt = ann.ask("GET", f"{path}/receipt")
    check("its receipt is signed", receipt.status == 200 and receipt.body["signature"]["algorithm"] == "Ed25519")
    report = ann.ask("GET", f"{path}/reject-report").body
    check(f"its records are named: {report['items']}", [item["record"] for item in report["items"]] == [1])
    deliveries = ann.ask("GET", f"{path}/deliveries").body
    outcomes = [item["outcome"] for item in deliveries["items"]]
    check(f"nothing of it was delivered: {outcomes}", len(outcomes) == 1 and "DELIVERED" not in outcomes)
    why = {"reason": "to see it again"}
    replayed = ann.ask("POST", f"{path}:replay", why, idempotency_key="again")
    check(f"it is replayed: {replayed}", replayed.status == 200 and replayed.body["generation"] == 2)
    again = ann.ask("POST", f"{path}:replay", why, idempotency_key="again")
    check("once", again.body == replayed.body and again.headers["idempotency-replayed"] == "true")
    events = ann.ask("GET", f"{path}/events").body["items"]
    said = [event["reason"] for event in events if event["actor"] == "principal:ann"]
    check("the history says who and why", said == [why["reason"]])
    trail = nobody.as_(issuer.token("acme", "config:read")).ask("GET", "/v1/audit").body["items"]
    acts = [(entry["on"], entry["reason"]) for entry in trail if entry["what"] == "replayJob" and entry["on"] == path]
    check("and so does the audit trail, once", acts == [(path, why["reason"])])
    check("the queues are for those who run the platform", ann.ask("GET", "/v1/fleet").status == 403)
    fleet = admin.ask("GET", "/v1/fleet")
    check(f"who see them: {fleet}", [queue["name"] for queue in fleet.body["queues"]] == ["ingest", "work", "undelivered"])
    # MiniStack 1.5.33 moves no messages (StartMessageMoveTask): what is refused before is all that can be seen.
    redrive = admin.ask("POST", "/v1/dead-letters/undelivered:redrive", why, idempotency_key="move")
    check("what no queue is the source of is not moved back", redrive.body["code"] == "queue.not_found")


def main():
    eft.end_cleanly()
    with stand() as it:
        endpoint, outputs = it.endpoint, it.outputs
        arrival(it)
        sweep(endpoint, outputs)
        machine(endpoint, outputs)
        ann = configured(endpoint, outputs, it.tokens)

        def meanwhile(server):
            mia = it.api.as_(it.tokens.token("acme", "config:write jobs:write", "mia"))
            table = Overview(it, mia)
            table.configured()
            executors.routes(it, mia)
            # A router that is warm knows the routes of a moment ago; what it does not take then is asked about an hour later.
            time.sleep(KEPT)
            table.before_a_worker(server)
            # One for all of it: the questions of a worker that has ended go on for some seconds, and take messages with them.
            # It has room for every stage, and less than the stage function has: what is made must not depend on that.
            with it.worker(memory="128MiB"):
                table.with_a_worker()
                executed(endpoint, outputs)
                followed(endpoint, outputs, it.tokens)
                executors.compared(it, mia)
                portal.seen(table)
            table.show()

        partner(endpoint, outputs, ann, meanwhile)
        # Last: it leaves nothing as it was.
        contract(it)


if __name__ == "__main__":
    main()
