"""The platform, until Ctrl-C or `cargo xtask down`: it says where everything is, and calls the sweep as its schedule does."""

import json
import os
import signal
import sys
import time

import eft
from sftp import sftp
from stand import FOLDER, stand

# In AWS the schedule calls it every five minutes; nobody wants to wait for that at a terminal.
SWEEP_EVERY = 20
PLACE = eft.HOME / "platform.json"


def say(it, server):
    admin = it.token("olga", "platform", "admin")
    FOLDER.chmod(0o700)
    print(f"""
The platform stands. In another terminal:

  export EFT_API={it.api.url} EFT_TOKEN_FILE={admin}
  {eft.BIN / "eft"} tenants list
  export AWS_ENDPOINT_URL={it.endpoint} AWS_ACCESS_KEY_ID={it.env["AWS_ACCESS_KEY_ID"]} AWS_SECRET_ACCESS_KEY=test AWS_REGION={it.env["AWS_REGION"]}
  {eft.TOOLS / "aws"} s3 ls s3://{it.outputs["IngestBucket"]}

  SFTP        127.0.0.1:{server.port}
  ingest      {it.outputs["IngestBucket"]}
  delivered   {it.outputs["OutBucket"]}
  worker log  {FOLDER / "worker.log"}

Ctrl-C or `cargo xtask down` ends it; nothing of it is kept.""", flush=True)


def follow_users(it, server, known):
    """Lets MiniStack's server know the users that were set up since, as AWS's asks for them with every login."""
    query = {"TableName": it.outputs["ConfigTable"], "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "users"}}}
    rows = {item["sk"]["S"]: item["row"]["S"] for item in it.client("dynamodb").query(**query)["Items"]}
    for user in rows.keys() - {user for user, row in known.items() if rows.get(user) == row}:
        server.admit(json.loads(rows[user])["name"])
    return rows


def main():
    eft.end_cleanly()
    if PLACE.exists() and alive(json.loads(PLACE.read_text())["pid"]):
        raise SystemExit("a platform stands already: `cargo xtask down` ends it")
    with stand() as it, it.worker(), sftp(it.endpoint, it.outputs) as server:
        PLACE.write_text(json.dumps({"pid": os.getpid(), "api": it.api.url, "endpoint": it.endpoint, "outputs": it.outputs}))
        try:
            say(it, server)
            known = {}
            while True:
                known = follow_users(it, server, known)
                it.sweep()
                time.sleep(SWEEP_EVERY)
        finally:
            PLACE.unlink(missing_ok=True)


def alive(pid):
    """Whether this is one of ours: an id that was given to somebody else since is not."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"platform/up.py" in file.read()
    except OSError:
        return False


def down():
    """Ends the platform that stands, and waits until it has ended."""
    if not PLACE.exists() or not alive(pid := json.loads(PLACE.read_text())["pid"]):
        print("no platform stands")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 150
    while alive(pid):
        if time.monotonic() > deadline:
            raise SystemExit(f"process {pid} has not ended")
        time.sleep(0.2)
    print("the platform has ended")


if __name__ == "__main__":
    try:
        down() if sys.argv[1:] == ["down"] else main()
    except KeyboardInterrupt:
        sys.exit(130)
