"""The core stack on MiniStack: the committed template, as it goes to AWS, with the programs that cargo has built."""

import json
import platform
import secrets
import subprocess
import time

import boto3
import eft
import packages
from botocore.config import Config
from issuer import AUDIENCE
from ministack import ACCOUNT

REGION = "eu-west-1"
STACK = "eft-core"
TEMPLATE = eft.OWN.parent / "golden/core.template.json"
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
    built = {program: packages.at_hand(program) for program in packages.PROGRAMS}
    version = packages.version(built)
    for program, package in built.items():
        s3.put_object(Bucket=bucket, Key=f"{version}/{program}.zip", Body=package)
    s3.put_object(Bucket=bucket, Key="core.template.json", Body=json.dumps(without_gaps(json.loads(TEMPLATE.read_text()))))
    return bucket, version


def deploy(endpoint, issuer, **parameters):
    """Deploys the core stack, whose API takes the tokens of `issuer`, and gives its outputs."""
    bucket, version = upload(endpoint)
    environment = eft.environment(endpoint)
    # The stage function does not start without it.
    subprocess.run([eft.WORKER, "key"], env=environment, stdout=subprocess.DEVNULL, check=True)
    parameters = {
        "PrimaryRegion": REGION,
        "CodeBucket": bucket,
        "CodeVersion": version,
        "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
        "SigningKey": environment["EFT_SIGNING_KEY"],
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
