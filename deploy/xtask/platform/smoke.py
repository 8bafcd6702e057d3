"""The core stack on a MiniStack of its own, and whether its parts are joined: what arrives becomes a job and is told.

Each check is of what only the template says: names in the environment of a function, permissions aside, which MiniStack does
not look at.
"""

import json
import time

import eft
from deploy import client, deploy
from ministack import ministack

WITHIN = 60
KEY = 'tenants/acme/in/a "b"+ä%20.csv'


def until(what, look):
    """What `look` gives as soon as it is something; it is asked again and again, because an answer takes its time."""
    deadline = time.monotonic() + WITHIN
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {WITHIN} s: {what}")
        time.sleep(0.1)
    return found


def check(what, holds):
    if not holds:
        raise SystemExit(f"wrong: {what}")
    print(f"  {what}", flush=True)


def listener(endpoint, topic):
    """A queue that is told what the topic says."""
    sqs, sns = client(endpoint, "sqs"), client(endpoint, "sns")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return queue


def arrival(endpoint, outputs):
    """A file that no route takes becomes one job that says so, and the topic tells it."""
    s3, dynamo, sqs = (client(endpoint, service) for service in ("s3", "dynamodb", "sqs"))
    told = listener(endpoint, outputs["EventsTopic"])
    version = s3.put_object(Bucket=outputs["IngestBucket"], Key=KEY, Body=b"sku,qty\n")["VersionId"]
    rows = until("a job", lambda: dynamo.scan(TableName=outputs["JobsTable"], ConsistentRead=True)["Items"])
    job = json.loads(rows[0]["row"]["S"])
    check("a file becomes a job", len(rows) == 1 and job["state"] == "UNROUTED")
    check("of its bucket, key and version", job["arrival"] == {"bucket": "ingest", "key": KEY, "version_id": version})
    [message] = until("an event", lambda: sqs.receive_message(QueueUrl=told, WaitTimeSeconds=1).get("Messages"))
    event = json.loads(message["Body"])
    check("its event is told as a CloudEvent", event["specversion"] == "1.0" and event["data"]["state"] == "UNROUTED")
    history = client(endpoint, "dynamodb").scan(TableName=outputs["RunsTable"])["Items"]
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
    answer = client(endpoint, "lambda").invoke(FunctionName=outputs["SweepFunction"], Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    check(f"the sweep lists what has arrived: {report}", "FunctionError" not in answer and report["listed"] == 1)
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


def main():
    eft.end_cleanly()
    with ministack() as endpoint:
        begun = time.monotonic()
        outputs = deploy(endpoint)
        print(f"the core stack stands after {time.monotonic() - begun:.1f} s")
        arrival(endpoint, outputs)
        sweep(endpoint, outputs)
        machine(endpoint, outputs)


if __name__ == "__main__":
    main()
