"""The whole platform on this machine: MiniStack as AWS, the committed template, the programs as they run there, a worker.

Everything it keeps is under `.eft/platform`, made anew each time; what a run that was killed has left there is in nobody's way.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time

import eft
from api import Api
from checks import invoke
from deploy import REGION, client, deploy
from issuer import issuer
from ministack import ACCOUNT, end_with_parent, ministack

FOLDER = eft.HOME / "platform"
# Held by whoever has a platform, whose process id it holds; it is free again when that process has ended, however it did.
LOCK = eft.HOME / "platform.lock"
CLI = eft.BIN / "eft"


class Stand:
    """The platform that stands: its endpoint, what the stack gave out, and who issues its tokens."""

    def __init__(self, endpoint, outputs, tokens):
        self.endpoint, self.outputs, self.tokens = endpoint, outputs, tokens
        self.api = Api(endpoint, outputs["ApiUrl"])
        # What a client of the platform has: nothing of what its own parts are told.
        self.env = {**eft.environment(endpoint), "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    def client(self, service):
        return client(self.endpoint, service)

    def token(self, name, tenant, scope):
        """A file with a token of somebody of a tenant; whoever reads it meanwhile finds a whole one."""
        path = FOLDER / f"{name}.token"
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self.tokens.token(tenant, scope, name))
        new.replace(path)
        return path

    def cli(self, token, *words, code=0, quiet=False):
        """Runs `eft` as whoever has the token, as it is typed; gives what it printed."""
        env = {**self.env, "EFT_API": self.api.url, "EFT_TOKEN_FILE": str(token)}
        words = [str(word) for word in words]
        if not quiet:
            print("$ eft", *words, flush=True)
        done = subprocess.run([CLI, *words], env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        if not quiet:
            print("".join(f"  {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
        if done.returncode != code:
            raise SystemExit(f"eft {' '.join(words)}: exit code {done.returncode}, expected {code}\n{done.stdout if quiet else ''}")
        return done.stdout

    def asked(self, token, *words):
        """What `eft` answers to the same as a document."""
        return json.loads(self.cli(token, "--json", *words, quiet=True))

    def sweep(self):
        """Calls the sweep, as its schedule does every few minutes; gives its report."""
        return invoke(self.endpoint, self.outputs["SweepFunction"], {})

    def listener(self, name, topic):
        """A queue that is told what the topic says."""
        sqs, sns = self.client("sqs"), self.client("sns")
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        return queue

    @contextlib.contextmanager
    def worker(self, memory="64MiB"):
        """A worker as ECS would start it, told of everything by the stack; it ends when it is asked to."""
        outputs = self.outputs
        env = {
            **self.env,
            **{f"EFT_TABLE_{name.upper()}": outputs[f"{name}Table"] for name in ("Jobs", "Keys", "Runs", "Config")},
            "EFT_WORK_QUEUE": outputs["WorkQueue"],
            "EFT_STATE_MACHINE": outputs["StateMachine"],
            **{f"EFT_TOPIC_{name.upper()}": outputs[f"{name}Topic"] for name in ("Events", "Success", "Failure")},
            "EFT_INGEST_BUCKETS": f"ingest={outputs['IngestBucket']}",
            "EFT_ARCHIVE_BUCKET": outputs["ArchiveBucket"],
        }
        with (FOLDER / "worker.log").open("w") as log:
            process = subprocess.Popen(
                [eft.WORKER, "serve", "--slots", "2", "--memory", memory, "--listen", "127.0.0.1:0"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,
            )  # fmt: skip
            try:
                yield process
            finally:
                process.terminate()
                try:
                    code = process.wait(timeout=110)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise
        if code:
            raise SystemExit(f"the worker ended with {code}; see {log.name}")

    def tell(self):
        """Prints what the ledger, the state machine and the logs say of the files, for whoever reads of a failure."""
        for row in self.client("dynamodb").scan(TableName=self.outputs["JobsTable"], ConsistentRead=True)["Items"]:
            print(row["row"]["S"])
        steps, sqs = self.client("stepfunctions"), self.client("sqs")
        for run in steps.list_executions(stateMachineArn=self.outputs["StateMachine"])["executions"]:
            described = steps.describe_execution(executionArn=run["executionArn"])
            print({name: str(described.get(name)) for name in ("name", "status", "startDate", "stopDate", "error", "cause")})
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        for name, url in self.outputs.items():
            if name.endswith("Queue"):
                print(name, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"])
        for log in (FOLDER / "ministack.log", FOLDER / "worker.log"):
            if log.exists():
                print(f"{log.name}:", *log.read_text().splitlines()[-60:], sep="\n  ", flush=True)


@contextlib.contextmanager
def locked():
    """Keeps `.eft/platform` to this process."""
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"a platform stands already, that of process {LOCK.read_text()}: `cargo xtask down` ends it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder():
    """The process whose platform stands, if there is one."""
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(LOCK.read_text())
    return None


@contextlib.contextmanager
def stand():
    """Sets it up, and takes it down whatever happens; what its parts say is told where it fails."""
    with locked():
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o700, parents=True)
        with issuer() as tokens, ministack(FOLDER / "ministack.log") as endpoint:
            begun = time.monotonic()
            it = Stand(endpoint, deploy(endpoint, tokens), tokens)
            print(f"the core stack stands after {time.monotonic() - begun:.1f} s", flush=True)
            try:
                yield it
            except SystemExit as end:
                # A number is the signal that has ended it.
                if isinstance(end.code, str):
                    it.tell()
                raise
