"""The core stack on MiniStack: the committed template, as it goes to AWS, with the programs that cargo has built."""

import hashlib
import io
import json
import pathlib
import platform
import secrets
import subprocess
import tempfile
import time
import zipfile

import boto3
import eft
from botocore.config import Config
from issuer import AUDIENCE
from ministack import ACCOUNT

REGION = "eu-west-1"
STACK = "eft-core"
TEMPLATE = eft.OWN.parent / "golden/core.template.json"
PROGRAMS = ("router", "sweep", "stage", "config", "identity")
DEPLOYED_WITHIN = 120


def client(endpoint, service):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        # An access key of 12 digits is the account.
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, proxies={}),
    )


def package(program):
    """The program as Lambda wants it, without what only a debugger reads; the same bytes for the same program."""
    built = eft.BIN / f"eft-{program}"
    if not built.exists():
        raise SystemExit(f"{built} is not there: `cargo build --workspace` makes it")
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "bootstrap"
        subprocess.run(["strip", "-o", stripped, built], check=True)
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(entry, stripped.read_bytes(), zipfile.ZIP_DEFLATED, 1)
    return packed.getvalue()


def without_gaps(template):
    """The template without what MiniStack 1.5.33 cannot make; what is left out is said, with why."""
    gaps = {
        name: "no alarm over an expression"
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    }
    for name, why in gaps.items():
        print(f"MiniStack has {why}: left out {name}", flush=True)

    def left(value):
        if isinstance(value, list):
            return [left(one) for one in value]
        if not isinstance(value, dict):
            return value
        if value.get("Fn::GetAtt", [None])[0] in gaps:
            return "left-out"
        return {name: left(one) for name, one in value.items() if name not in gaps}

    # In conditions it knows no region of the stack.
    conditions = json.dumps(template["Conditions"]).replace('{"Ref": "AWS::Region"}', json.dumps(REGION))
    return {**left(template), "Conditions": json.loads(conditions)}


def upload(endpoint):
    """Puts the template and the programs where a deployment to AWS has them as well; says where."""
    s3, bucket = client(endpoint, "s3"), f"eft-code-{ACCOUNT}-{REGION}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    packages = {program: package(program) for program in PROGRAMS}
    version = hashlib.sha256(b"".join(packages.values())).hexdigest()[:16]
    for program, packed in packages.items():
        s3.put_object(Bucket=bucket, Key=f"{version}/{program}.zip", Body=packed)
    s3.put_object(Bucket=bucket, Key="core.template.json", Body=json.dumps(without_gaps(json.loads(TEMPLATE.read_text()))))
    return bucket, version


def signing_key(endpoint):
    """Where the key is that signs receipts. A worker makes it with its first receipt, and the stage function needs it."""
    env = eft.environment(endpoint)
    if not pathlib.Path(env["EFT_SIGNING_KEY"]).exists():
        with tempfile.NamedTemporaryFile() as receipt:
            subprocess.run([eft.WORKER, "transfer", "--receipt", receipt.name, "-", "-"], env=env, stdin=subprocess.DEVNULL, check=True)
    return env["EFT_SIGNING_KEY"]


def deploy(endpoint, issuer, **parameters):
    """Deploys the core stack, whose API takes the tokens of `issuer`, and gives its outputs."""
    bucket, version = upload(endpoint)
    parameters = {
        "PrimaryRegion": REGION,
        "CodeBucket": bucket,
        "CodeVersion": version,
        "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
        "SigningKey": signing_key(endpoint),
        "KeyFolder": str(eft.HOME / "clients"),
        "TokenIssuer": issuer.url,
        "TokenAudience": AUDIENCE,
        "CursorKey": secrets.token_hex(32),
        **parameters,
    }
    formation = client(endpoint, "cloudformation")
    formation.create_stack(
        StackName=STACK,
        # A template of this size is taken from S3 only.
        TemplateURL=f"{endpoint}/{bucket}/core.template.json",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    deadline = time.monotonic() + DEPLOYED_WITHIN
    while True:
        [stack] = formation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        if stack["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
            bad = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in events if "FAILED" in event["ResourceStatus"]]
            raise SystemExit(f"the stack is {stack['StackStatus']}\n" + "\n".join(bad))
        time.sleep(0.2)
