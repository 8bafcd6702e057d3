"""The platform, until Ctrl-C or `cargo xtask down`: it says where everything is, and calls the sweep as its schedule does."""

import contextlib
import json
import os
import signal
import sys
import time

import eft
from botocore.exceptions import ClientError
from issuer import PEOPLE
from portal_server import is_built, portal
from sftp import sftp
from stand import FOLDER, holder, stand

# In AWS the schedule calls it every five minutes; nobody wants to wait for that at a terminal.
SWEEP_EVERY = 20
# How long the worker may take to hand back what it has, and some seconds.
ENDED_WITHIN = 150


def tokens(it):
    """Files with tokens: of whoever runs the platform, and of somebody of the tenant `acme`. They last an hour, so they are made anew."""
    return it.token("olga", "platform", "admin"), it.token("ann", "acme", "config:write jobs:write")


def say(it, server, page):
    olga, ann = tokens(it)
    if page:
        people = "".join(f"\n  {person.name:<17} {person.what}" for person in PEOPLE.values())
        print(f"\nThe portal: {page}\nwhere people sign in as one of{people}")
    print(f"""
The platform stands. In another terminal:

  export EFT_API={it.api.url}
  export EFT_TOKEN_FILE={olga}    # runs the platform; {ann.name} beside it: somebody of the tenant acme
  {eft.BIN / "eft"} tenants list
  export AWS_ENDPOINT_URL={it.endpoint} AWS_ACCESS_KEY_ID={it.env["AWS_ACCESS_KEY_ID"]} AWS_SECRET_ACCESS_KEY=test AWS_REGION={it.env["AWS_REGION"]}
  {eft.TOOLS / "aws"} s3 ls s3://{it.outputs["IngestBucket"]}

  SFTP        127.0.0.1:{server.port}, for users of the API some {SWEEP_EVERY} s after they are set up
  ingest      {it.outputs["IngestBucket"]}
  delivered   {it.outputs["OutBucket"]}
  logs        {FOLDER}

Ctrl-C or `cargo xtask down` ends it; nothing of it is kept.""", flush=True)


def follow_users(it, server, known):
    """Lets MiniStack's server know how the users stand now, as AWS's asks about them with every login."""
    query = {"TableName": it.outputs["ConfigTable"], "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "users"}}}
    rows = {item["sk"]["S"]: item["row"]["S"] for item in it.client("dynamodb").query(**query)["Items"]}
    for user in sorted(user for user, row in rows.items() if known.get(user) != row):
        name = json.loads(rows[user])["name"]
        server.forget(name)
        server.admit(name)
    return rows


def turn(it, server, known):
    """What AWS does by itself. A fault is said, and the platform goes on standing."""
    try:
        tokens(it)
        known = follow_users(it, server, known)
        it.sweep()
    except (ClientError, SystemExit) as fault:
        if isinstance(getattr(fault, "code", None), int):
            raise
        print(f"up: {fault}", file=sys.stderr, flush=True)
    return known


def main():
    eft.end_cleanly()
    with stand() as it, it.worker(), sftp(it.endpoint, it.outputs) as server, portal(it) if is_built() else contextlib.nullcontext() as page:
        say(it, server, page)
        known = {}
        while True:
            known = turn(it, server, known)
            time.sleep(SWEEP_EVERY)


def down():
    """Ends the platform that stands, and waits until it has ended."""
    process = holder()
    if process is None:
        print("no platform stands")
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + ENDED_WITHIN
    while holder() == process:
        if time.monotonic() > deadline:
            raise SystemExit(f"process {process} has not ended within {ENDED_WITHIN} s")
        time.sleep(0.2)
    print("the platform has ended")


if __name__ == "__main__":
    try:
        down() if sys.argv[1:] == ["down"] else main()
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        # To be asked to end is how it ends.
        sys.exit(0 if end.code == 128 + signal.SIGTERM else end.code)
