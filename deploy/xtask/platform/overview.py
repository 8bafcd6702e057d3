"""The architecture overview, box by box and arrow by arrow, on the platform that stands.

`ROWS` are the boxes and arrows of its picture and of its table of components. Each needs an observation of that very box or
arrow, made here and now; a row without one is a failure, and so is an observation without a row. What of a row nothing on this
machine can show stands beside it, with the reason.
"""

import json
import time

from checks import ENDED, jobs_of, logged, until
from sftp import Key

PREFIX = "tenants/acme/overview/"
USER = "acme-overview"
SMALL = b"sku,qty\na,1\nb,2\n"
# More than `small` of the route: for a worker.
LARGE = b"sku,qty\n" + b"".join(b"sku-%d,%d\n" % (number % 97, number) for number in range(1000))
LEAST_LARGE = 1024

BOXES = {
    "UI": "React Admin Portal",
    "Sys": "Machine Clients (APIs)",
    "APIGW": "API Gateway: exposes the control APIs securely",
    "CFG": "Config Service: manages tenant routes",
    "STS": "Status Service: queries job status",
    "DDB": "DynamoDB: config, jobs, runs, idempotency keys",
    "SNS": "SNS: events, success, failure",
    "TF": "Transfer Family (SFTP): ingress for partners",
    "S3I": "S3 Ingest: landing zone, encrypted, CRR",
    "EB": "EventBridge: detects ObjectCreated, routes to SQS",
    "QI": "SQS ingest.fifo: ordered, deduplicated events",
    "RL": "Router: jobs to Step Functions or ECS",
    "SFN": "Step Functions: validate to archive",
    "QW": "SQS work.fifo: large jobs",
    "ECS": "ECS Fargate Worker: processes large files",
    "S3A": "S3 Archive: long-term, lifecycle policies",
}
ARROWS = (
    "UI -->|routes/jobs| APIGW", "APIGW --> CFG", "CFG --> DDB", "APIGW --> STS", "STS --> DDB", "TF --> S3I", "S3I --> EB",
    "EB -->|rule:ObjectCreated| QI", "QI --> RL", "RL --> SFN", "RL -->|large| QW", "QW --> ECS", "ECS --> SNS", "RL -->|all statuses| SNS",
    "SFN -->|task statuses| SNS", "SFN --> S3A",
)  # fmt: skip
ROWS = (*BOXES, *ARROWS)
# What of a row is not seen here, and why.
NOT_SEEN = {
    "UI": "CloudFront: a small server has the page and the API under one address",
    "TF": "the managed server: MiniStack's asks no identity provider, so users are set up from what the function answers",
    "TF --> S3I": "the version: MiniStack gives an upload over SFTP none",
    "S3I": "encryption: MiniStack's CloudFormation leaves it out, it is read in the template; CRR: the second region is not built yet",
    "S3A": "that S3 carries the lifecycle rules out: it takes days, and MiniStack leaves them out; they are read in the template",
    "QI": "that it knows what EventBridge has brought: MiniStack's puts its events behind the queue's memory of them",
    "EB -->|rule:ObjectCreated| QI": "a group for each version: MiniStack takes the path for the group's name",
    "ECS": "Fargate: the program runs as its task would, with what the stack gives out; the stack `worker` is not built yet",
}


class Overview:
    """What was seen of each row."""

    def __init__(self, it, ann):
        """`ann`: the API for somebody of the tenant."""
        self.it, self.ann, self.outputs = it, ann, it.outputs
        self.seen, self.queues, self.small, self.large = {}, {}, None, None

    def shows(self, row, what, holds):
        if row not in ROWS:
            raise SystemExit(f"an observation of what is not there: {row}")
        self.seen.setdefault(row, []).append((bool(holds), what))

    def before_a_worker(self, server):
        """From a partner's upload to where the two executors part; `configured` was long enough ago, and no worker runs."""
        topics = ("Events", "Success", "Failure")
        self.queues = {name: self.it.listener(f"overview-{name.lower()}", self.outputs[f"{name}Topic"]) for name in topics}
        self.uploaded(server)
        versions, messages = self.arrived()
        execution = self.routed(messages)
        self.staged(versions["small.csv"], execution)

    def with_a_worker(self):
        """What needs a worker, which runs by now, and what comes behind it."""
        self.worked()
        self.asked("large.csv", "SUCCEEDED")
        self.kept()
        self.told()

    def show(self):
        """Prints the table, and ends everything where a row was not shown."""
        print("\nthe architecture overview: each box and arrow, and what was seen of it", flush=True)
        missing = []
        for row in ROWS:
            seen = self.seen.get(row, [])
            shown = bool(seen) and all(holds for holds, _ in seen)
            said = "; ".join(what if holds else f"NOT TRUE: {what}" for holds, what in seen) or "nothing was looked at"
            print(f"  {'shown' if shown else 'NOT':<8} {row:<30} {said}")
            if row in NOT_SEEN:
                print(f"{'':<42}not seen here: {NOT_SEEN[row]}")
            missing += [] if shown else [row]
        print(f"  {len(ROWS) - len(missing)} of {len(ROWS)} rows shown", flush=True)
        if missing:
            raise SystemExit(f"not shown of the architecture overview: {', '.join(missing)}")

    def rows_of(self, table):
        return self.it.client("dynamodb").scan(TableName=self.outputs[f"{table}Table"], ConsistentRead=True)["Items"]

    def job(self, name):
        return jobs_of(self.it.endpoint, self.outputs, PREFIX).get(name)

    def called(self, function, method, path):
        """The line of a function's log about a request."""
        return [line for line in self.lines(function) if (line.get("method"), line.get("path")) == (method, path)]

    def lines(self, function):
        """The lines of a function's log that are its own."""
        return [json.loads(line) for line in logged(self.it.endpoint, function) if line.startswith("{")]

    def body(self, bucket, key):
        """What stands under a name; nothing where nothing does."""
        s3 = self.it.client("s3")
        try:
            return s3.get_object(Bucket=self.outputs[f"{bucket}Bucket"], Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None

    def paused(self, pause):
        """Stops or starts what brings the messages of `ingest.fifo` to the router."""
        functions = self.it.client("lambda")
        [mapping] = functions.list_event_source_mappings(FunctionName=self.outputs["RouterFunction"])["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=not pause)

    def attributes(self, queue):
        return self.it.client("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=["All"])["Attributes"]

    def count(self, queue):
        """How many messages a queue has, those that somebody works on included."""
        return sum(int(self.attributes(queue)[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible"))

    def peek(self, queue):
        """What stands in a queue, and is left there. Not to be asked again and again: after five times it is set aside."""
        asked = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "AttributeNames": ["All"]}
        return self.it.client("sqs").receive_message(QueueUrl=self.outputs[queue], **asked).get("Messages", [])

    def configured(self):
        """The control plane: a route, from a client with a token to the row."""
        path, probe = "/v1/routes/overview", "/v1/routes/nobody-has-it"
        route = {
            "match": {"prefix": PREFIX, "glob": "*.csv"},
            "small": f"{LEAST_LARGE}B",
            "stages": [{"validate": {"csv": {"header": ["sku", "qty"], "types": {"qty": "integer"}}}}, {"newline": {"to": "crlf"}}],
            "archive": {"original": True},
            "destinations": [{"s3": {"bucket": self.outputs["OutBucket"], "key": "acme/overview/{name}", "on_existing": "version"}}],
        }
        refused, absent = self.it.api.ask("GET", probe), self.ann.ask("GET", probe)
        until("the config function's log", lambda: self.called("Config", "GET", probe))
        calls = len(self.called("Config", "GET", probe))
        self.shows("APIGW", "refuses a call without a token (401) before any function is called", (refused.status, calls) == (401, 1))
        self.shows("APIGW", "passes on one with a token", absent.status == 404)
        before = [item for item in self.rows_of("Config") if "overview" in item["pk"]["S"]]
        saved = self.ann.ask("PUT", path, route, if_none_match="*")
        stale = self.ann.ask("PUT", path, {**route, "digests": ["sha256"]}, if_match='"of-nothing"')
        self.shows("Sys", "a client with a token and an HTTP library saves a route (201)", saved.status == 201)
        read = self.ann.ask("GET", path).body["route"]
        self.shows("CFG", "keeps the route, and gives it back with its tenant", (read["tenant"], read["match"]) == ("acme", route["match"]))
        self.shows("CFG", "refuses a change of what was not read (412)", stale.status == 412)
        lines = until("the function's line about the call", lambda: self.called("Config", "PUT", path))
        said = f"the function's log: PUT {path} by {lines[0]['subject']}, {lines[0]['status']}"
        self.shows("APIGW --> CFG", said, lines[0]["status"] == 201)
        after = [item for item in self.rows_of("Config") if "route#overview" in item["pk"]["S"]]
        stored = [json.loads(item["row"]["S"]) for item in after if item["sk"]["S"].startswith("revision#")]
        holds = not before and [one["destinations"][0]["s3"]["key"] for one in stored] == ["acme/overview/{name}"]
        self.shows("CFG --> DDB", "the revision that was saved is a row of the table, and was none before", holds)

    def uploaded(self, server):
        """A partner's file over SFTP, with a stock client."""
        key = Key(server.folder, USER)
        answer = self.ann.ask("PUT", f"/v1/sftp-users/{USER}", {"keys": [key.public], "home": "overview/partner/"}, if_none_match="*")
        welcome = server.admit(USER)
        known = answer.status == 201 and welcome["PublicKeys"] == [key.public]
        self.shows("TF", "lets in whom the deployed function lets in, with its key", known)
        (server.folder / "partner.csv").write_bytes(SMALL)
        code, said = server.run(USER, key, "put partner.csv", "ls")
        stranger, _ = server.run(USER, Key(server.folder, "stranger"), "ls")
        taken = code == 0 and "partner.csv" in said
        self.shows("TF", "takes a file of OpenSSH's sftp, and nobody with another key", taken and stranger != 0)
        at = f"{PREFIX}partner/partner.csv"
        self.shows("TF --> S3I", f"the file stands at {at}, byte for byte", self.body("Ingest", at) == SMALL)

    def deployed(self, logical):
        """The properties of a bucket in the template that was deployed."""
        template = self.it.client("cloudformation").get_template(StackName="eft-core")["TemplateBody"]
        template = json.loads(template) if isinstance(template, str) else template
        [found] = [one for name, one in template["Resources"].items() if name.startswith(logical) and one["Type"] == "AWS::S3::Bucket"]
        return found["Properties"]

    def arrived(self):
        """A small file, a large one and one for no route, from the bucket to the queue; the router is kept from it meanwhile."""
        s3, sqs, events = (self.it.client(service) for service in ("s3", "sqs", "events"))
        bucket, ingest = self.outputs["IngestBucket"], self.outputs["IngestQueue"]
        tap = sqs.create_queue(QueueName="overview-tap")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=tap, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="overview-tap", EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}))
        events.put_targets(Rule="overview-tap", Targets=[{"Id": "tap", "Arn": arn}])
        self.paused(True)
        files = {"small.csv": SMALL, "large.csv": LARGE, "none.pdf": b"%PDF-1.7\n"}
        versions = {name: s3.put_object(Bucket=bucket, Key=PREFIX + name, Body=body)["VersionId"] for name, body in files.items()}

        self.shows("S3I", f"keeps versions (small.csv is {versions['small.csv'][:8]}…)", len(set(versions.values())) == 3)
        closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        notifies = "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
        self.shows("S3I", "is closed to the public, and tells EventBridge", all(closed.values()) and notifies)
        [rule] = self.deployed("BucketsIngest")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        self.shows("S3I", "encrypted by the template", rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms")

        told = {}

        def tapped():
            for message in sqs.receive_message(QueueUrl=tap, MaxNumberOfMessages=10).get("Messages", []):
                event = json.loads(message["Body"])
                told[event["detail"]["object"]["key"].removeprefix(PREFIX)] = event
            return told.keys() >= files.keys()

        until("S3 tells EventBridge of the files", tapped)
        kinds = {(event["source"], event["detail-type"], event["detail"]["bucket"]["name"]) for event in told.values()}
        self.shows("S3I --> EB", "another rule of the bus got an event for each file", kinds == {("aws.s3", "Object Created", bucket)})
        until("the events are in ingest.fifo", lambda: self.count("IngestQueue") >= len(files))
        standing = self.peek("IngestQueue")
        bodies = {json.loads(message["Body"])["key"].removeprefix(PREFIX): json.loads(message["Body"]) for message in standing}
        sizes = {name: bodies[name]["size"] for name in files} == {name: len(body) for name, body in files.items()}
        canonical = all(body.keys() >= {"v", "bucket", "version_id"} and not body.keys() & {"id", "time"} for body in bodies.values())
        said = "with the router stopped they stand in ingest.fifo, in the rule's form"
        self.shows("EB -->|rule:ObjectCreated| QI", said, sizes and canonical)
        rules = [rule for rule in events.list_rules()["Rules"] if "Object Created" in rule.get("EventPattern", "")]
        targets = [target["Arn"] for rule in rules for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
        queue = self.attributes("IngestQueue")
        self.shows("EB", "one rule detects ObjectCreated, and brings it to ingest.fifo", targets == [queue["QueueArn"]])
        self.deduplicated(sqs, ingest, queue, standing[0])
        time.sleep(0.5)
        self.shows("QI --> RL", "as long as it is stopped there is no job", not jobs_of(self.it.endpoint, self.outputs, PREFIX))
        self.paused(False)
        return versions, {message["MessageId"] for message in standing}

    def deduplicated(self, sqs, url, queue, message):
        """The same event twice more."""
        before, group = self.count("IngestQueue"), message["Attributes"]["MessageGroupId"]
        for _ in range(2):
            sqs.send_message(QueueUrl=url, MessageBody=message["Body"], MessageGroupId=group)
        holds = queue["FifoQueue"] == queue["ContentBasedDeduplication"] == "true" and self.count("IngestQueue") == before + 1
        self.shows("QI", "has an event once that is sent to it twice", holds)

    def routed(self, messages):
        """From the queue to the executor; no worker runs yet."""
        jobs = until("the jobs of the files", lambda: len(found := jobs_of(self.it.endpoint, self.outputs, PREFIX)) >= 3 and found)
        lines = until("the router's lines", lambda: messages <= {line.get("message_id") for line in self.lines("Router")})
        self.shows("QI --> RL", "the router's log names these very messages of the queue", lines)
        until("ingest.fifo is empty", lambda: self.count("IngestQueue") == 0)
        small, large, none = (jobs[name] for name in ("small.csv", "large.csv", "none.pdf"))
        runners = (small["runner"], large["runner"], none["state"])
        self.shows("RL", f"{len(SMALL)} bytes go to Step Functions, {len(LARGE):,} to the worker, and what no route takes is recorded",
                   runners == ("steps", "worker", "UNROUTED"))  # fmt: skip

        until("something is in work.fifo", lambda: self.count("WorkQueue") > 0)
        waiting = [(json.loads(one["Body"])["run"], one["Attributes"]["MessageGroupId"]) for one in self.peek("WorkQueue")]
        said = f"run {large['id'][:8]}….1 stands in work.fifo, and nothing else: not the small one"
        self.shows("RL -->|large| QW", said, [run for run, _ in waiting] == [f"{large['id']}.1"])
        fifo = self.attributes("WorkQueue")["FifoQueue"] == "true"
        self.shows("QW", "is FIFO, with a group for each job", fifo and [group for _, group in waiting] == [large["id"]])
        steps = self.it.client("stepfunctions")

        def executions(job):
            all_of_them = steps.list_executions(stateMachineArn=self.outputs["StateMachine"])["executions"]
            return [one for one in all_of_them if job["id"] in one["name"]]

        [run] = until("an execution for small.csv", lambda: executions(small))
        given, others = json.loads(steps.describe_execution(executionArn=run["executionArn"])["input"]), executions(large)
        self.shows("RL --> SFN", f"execution {run['name'][:8]}… was started with the run, and none for the large one",
                   given["run"] == f"{small['id']}.1" and not others)  # fmt: skip
        self.small, self.large = small, large
        self.asked("large.csv", "ACCEPTED")
        return run["executionArn"]

    def versions(self, name):
        """How many deliveries of a file there have been: its route makes a version of each."""
        of = {"Bucket": self.outputs["OutBucket"], "Prefix": f"acme/overview/{name}"}
        return len(self.it.client("s3").list_object_versions(**of).get("Versions", []))

    def asked(self, name, state):
        """The status API says what the row says."""
        row = self.job(name)
        answer = self.ann.ask("GET", f"/v1/jobs/{row['id']}").body
        pairs = (("job", "id"), ("state", "state"), ("runner", "runner"), ("generation", "generation"), ("sends", "sends"))
        holds = answer["state"] == state and all(answer[said] == row[kept] for said, kept in pairs)
        self.shows("STS", f"says that {name} is {state}", answer["state"] == state)
        self.shows("STS --> DDB", f"{name} is {state} in its answer as in the row of the table", holds)

    def staged(self, version, execution):
        """What Step Functions did."""
        steps, s3 = self.it.client("stepfunctions"), self.it.client("s3")
        until("the job of small.csv has ended", lambda: self.job("small.csv")["state"] in ENDED)
        until("its execution has ended", lambda: steps.describe_execution(executionArn=execution)["status"] != "RUNNING")
        events = steps.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        entered = [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
        self.shows("SFN", " → ".join(entered), entered == ["Validate", "Stage", "Transform", "Deliver", "Archive"])
        body = self.body("Out", "acme/overview/small.csv")
        self.shows("SFN", "the file is delivered as the route makes it", body == SMALL.replace(b"\n", b"\r\n"))
        self.shows("SFN", "and stands there once", self.versions("small.csv") == 1)
        original = self.body("Archive", f"{self.small['id']}/{version}")
        self.shows("SFN --> S3A", "the original stands in the archive under its job and version", original == SMALL)
        kept = s3.get_bucket_versioning(Bucket=self.outputs["ArchiveBucket"])["Status"] == "Enabled"
        rules = self.deployed("BucketsArchive")["LifecycleConfiguration"]["Rules"]
        classes = [move["StorageClass"] for rule in rules for move in rule.get("Transitions", [])]
        colder = kept and classes == ["GLACIER_IR", "DEEP_ARCHIVE"]
        self.shows("S3A", f"keeps versions; by the template its objects go to {' and '.join(classes)}", colder)

    def worked(self):
        """What the worker did that runs now."""
        large = self.large
        until("the job of large.csv has ended", lambda: self.job("large.csv")["state"] in ENDED)
        body = self.body("Out", "acme/overview/large.csv")
        done = self.job("large.csv")["state"] == "SUCCEEDED"
        self.shows("ECS", f"delivers {len(LARGE):,} bytes as the route makes them", done and body == LARGE.replace(b"\n", b"\r\n"))
        self.shows("ECS", "and stands there once", self.versions("large.csv") == 1)
        until("its message is gone", lambda: self.count("WorkQueue") == 0)
        self.shows("QW", "and the message is gone when the job has ended", self.count("WorkQueue") == 0)
        history = self.ann.ask("GET", f"/v1/jobs/{large['id']}/events").body["items"]
        taken = [(event["actor"], event["before"]) for event in history if event["after"] == "RUNNING"]
        self.shows("QW --> ECS", "the job waited until a worker ran, which took it", taken == [("worker", "ACCEPTED")])

    def kept(self):
        """The tables, and that a request is done once."""
        path, why = f"/v1/jobs/{self.small['id']}", {"reason": "to see the overview"}
        before = len(self.rows_of("Keys"))
        answers = [self.ann.ask("POST", f"{path}:replay", why, idempotency_key="overview") for _ in range(2)]
        lines = until("the status function's line", lambda: self.called("Status", "POST", f"{path}:replay"))
        said = f"the function's log: POST …:replay by {lines[0]['subject']}, {lines[0]['status']}"
        self.shows("APIGW --> STS", said, lines[0]["status"] == 200)
        row = self.job("small.csv")
        self.shows("STS --> DDB", "a replay is in the row, once", row["generation"] == 2 and answers[0].body == answers[1].body)
        self.shows("DDB", "keeps the key of the request that was sent twice", len(self.rows_of("Keys")) == before + 1)
        counts = {name: len(self.rows_of(name)) for name in ("Config", "Jobs", "Runs")}
        self.shows("DDB", ", ".join(f"{count} rows of {name.lower()}" for name, count in counts.items()), all(counts.values()))
        other = self.ann.ask("POST", f"/v1/jobs/{self.large['id']}:replay", why, idempotency_key="overview-too")
        self.shows("STS", "has jobs run again that have ended", (answers[0].status, other.status) == (200, 200))
        for name, row in (("small.csv", "SFN"), ("large.csv", "ECS")):
            until(f"the replay of {name} has ended", lambda name=name: self.job(name)["state"] in ENDED)
            job = self.job(name)
            said = f"does it again when asked ({job['generation']}, {job['state']})"
            self.shows(row, said, (job["generation"], job["state"], self.versions(name)) == (2, "SUCCEEDED", 2))

    def told(self):
        """What the topics told queues that listen, and whose doing it was."""
        sqs, heard = self.it.client("sqs"), {name: {} for name in self.queues}
        small, large, none = self.small["id"], self.large["id"], self.job("none.pdf")["id"]

        def listened():
            for name, queue in self.queues.items():
                while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                    for message in messages:
                        event = json.loads(message["Body"])
                        heard[name][event["id"]] = event["data"]
                        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            ends = {(one["job"], one["state"]) for one in heard["Events"].values()}
            return ends >= {(small, "SUCCEEDED"), (large, "SUCCEEDED"), (none, "UNROUTED")}

        until("every end was told", listened)

        def by(actor, topic="Events"):
            """The states of our files' first runs, of which this part of the platform has told."""
            runs = [f"{job}.1" for job in (small, large, none)]
            mine = [one for one in heard[topic].values() if one["actor"] == actor and one["run"] in runs]
            return [(one["key"].removeprefix(PREFIX), one["state"]) for one in sorted(mine, key=lambda one: (one["key"], one["sequence"]))]

        router = [("large.csv", "ACCEPTED"), ("none.pdf", "UNROUTED"), ("small.csv", "ACCEPTED")]
        self.shows("RL -->|all statuses| SNS", "told by the router: " + ", ".join(map(" ".join, router)), by("router") == router)
        for row, actor, name in (("SFN -->|task statuses| SNS", "steps", "small.csv"), ("ECS --> SNS", "worker", "large.csv")):
            states = ["RUNNING", "DELIVERING", "SUCCEEDED"]
            told = by(actor) == [(name, state) for state in states] and by(actor, "Success") == [(name, "SUCCEEDED")]
            self.shows(row, f"told by {actor} of {name}: {', '.join(states)}", told)
        only = by("router", "Failure") == [("none.pdf", "UNROUTED")] and not by("router", "Success") and not by("steps", "Failure")
        self.shows("SNS", f"{len(heard['Events'])} events to queues that listen; successes and failures to theirs alone", only)
