"""What the checks of the deployed stack share: to say what holds, to wait for it, and to look at jobs."""

import json
import time

from deploy import client

WITHIN = 60
# Seconds that a program which is warm goes on with the routes and tenants of a moment ago: `FRESH` of
# `control/store/src/dynamo/catalog.rs`, and one more.
KEPT = 6
ENDED = ("SUCCEEDED", "REJECTED", "FAILED", "PARTIALLY_DELIVERED", "CANCELLED")


def until(what, look, within=WITHIN):
    """What `look` gives as soon as it is something; it is asked again and again, because an answer takes its time."""
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {within} s: {what}")
        time.sleep(0.1)
    return found


def check(what, holds):
    if not holds:
        raise SystemExit(f"wrong: {what}")
    print(f"  {what}", flush=True)


def invoke(endpoint, function, event):
    """What a function answers to an event."""
    answer = client(endpoint, "lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    body = answer["Payload"].read()
    if "FunctionError" in answer:
        raise SystemExit(f"{function} fails: {body[:800]}")
    return json.loads(body)


def logged(endpoint, function):
    """The lines of the log of a function, which is known by a part of its name."""
    logs = client(endpoint, "logs")
    [group] = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"] if function in group["logGroupName"]]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"] for page in pages for event in page["events"]]


def jobs_of(endpoint, outputs, folder):
    """The rows of the files of a folder, by their names."""
    rows = client(endpoint, "dynamodb").scan(TableName=outputs["JobsTable"], ConsistentRead=True)["Items"]
    found = [json.loads(row["row"]["S"]) for row in rows]
    return {job["arrival"]["key"].removeprefix(folder): job for job in found if job["arrival"]["key"].startswith(folder)}
