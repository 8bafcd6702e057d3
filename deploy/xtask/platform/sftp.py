"""The SFTP server of Transfer Family on MiniStack, and OpenSSH's own client of it.

MiniStack 1.5.33 asks no identity provider: it knows the users that its API was told of, and only logins with a key. So each
user is set up from what the deployed function answers to the event that Transfer Family would send: who comes in, with
which keys and into which folder, is decided by the function. It raises no event for an upload either.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

from checks import invoke, until
from deploy import client

HERE = "192.0.2.7"
WITHIN = 30


def programs():
    """Where the client is; it belongs to the system and not to us."""
    missing = [name for name in ("sftp", "ssh-keygen", "ssh-keyscan") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} of OpenSSH: not found; they come with the system's package `openssh-client`")


class Key:
    """A key that is thrown away at the end."""

    def __init__(self, folder, name):
        self.path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.path], check=True)
        self.public = self.path.with_suffix(".pub").read_text().strip()


class Server:
    """A server, and what is asked of it. `folder` is where keys and files are."""

    def __init__(self, endpoint, outputs, folder):
        self._endpoint, self._outputs, self.folder = endpoint, outputs, folder
        self._transfer = client(endpoint, "transfer")
        self.id = self._transfer.create_server(Protocols=["SFTP"], Domain="S3")["ServerId"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{endpoint}/_ministack/transfer/sftp-ports", timeout=10) as answer:
            self.port = json.load(answer)["shared_port"]
        self._known = folder / "known_hosts"
        # It makes its host key anew each time and tells it nobody but who connects; it is on the loopback interface.
        self._known.write_text(until("the SFTP server says its host key", self._host_key))

    def _host_key(self):
        asked = subprocess.run(["ssh-keyscan", "-p", str(self.port), "127.0.0.1"], capture_output=True, text=True, check=False)
        return asked.stdout

    def ask(self, user, password="", source=HERE, protocol="SFTP"):
        """What the deployed function answers to whoever wants in."""
        event = {"username": user, "password": password, "protocol": protocol, "serverId": self.id, "sourceIp": source}
        return invoke(self._endpoint, self._outputs["IdentityFunction"], event)

    def admit(self, user):
        """Sets a user up as the function has it, and gives its answer."""
        answer = self.ask(user)
        if answer:
            self._transfer.create_user(
                ServerId=self.id,
                UserName=user,
                Role=answer["Role"],
                HomeDirectoryType=answer["HomeDirectoryType"],
                HomeDirectoryMappings=json.loads(answer["HomeDirectoryDetails"]),
            )
            for key in answer["PublicKeys"]:
                self._transfer.import_ssh_public_key(ServerId=self.id, UserName=user, SshPublicKeyBody=key)
        return answer

    def forget(self, user):
        """Lets a user in no more, until it is admitted again."""
        with contextlib.suppress(self._transfer.exceptions.ResourceNotFoundException):
            self._transfer.delete_user(ServerId=self.id, UserName=user)

    def _command(self, user, key, *options):
        """The client; it trusts this server alone, and uses this key and nothing that the machine has."""
        own = {
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self._known,
            "GlobalKnownHostsFile": "none",
            "ConnectTimeout": WITHIN,
        }
        told = [text for name, value in own.items() for text in ("-o", f"{name}={value}")]
        return ["sftp", "-q", "-b", "-", "-F", "none", "-P", str(self.port), "-i", key.path, *told, *options, f"{user}@127.0.0.1"]

    def run(self, user, key, *commands):
        """Does the commands; gives the exit code and what the client has said."""
        done = subprocess.run(
            self._command(user, key), cwd=self.folder, input="\n".join(commands), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=WITHIN, check=False,
        )
        return done.returncode, done.stdout

    def cut(self, user, key, name, seconds):
        """Begins to send a file, at 4 Mbit/s, and ends the client by its id in the middle of it."""
        command = self._command(user, key, "-l", "4000")
        with subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as sender:
            try:
                sender.stdin.write(f"put {name}\n")
                sender.stdin.close()
                time.sleep(seconds)
                if sender.poll() is not None:
                    raise SystemExit(f"the client ended before it was cut: exit code {sender.returncode}")
            finally:
                sender.kill()


@contextlib.contextmanager
def sftp(endpoint, outputs):
    """Starts a server, with a folder for its clients."""
    programs()
    with tempfile.TemporaryDirectory() as folder:
        yield Server(endpoint, outputs, pathlib.Path(folder))
