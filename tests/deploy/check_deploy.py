"""Deploys as a new user does, from the files of a release and with nothing but Python and the AWS
CLI, in a terminal and by the README's own commands; and falls into each trap on the way.

    sam build --parameter-overrides Architecture=x86_64
    python tests/deploy/check_deploy.py

MiniStack plays AWS, as in `rehearse.py`. It runs the code of this machine's processor, so what was
built for that stands in for arm64, too. `AWS_CLI=/usr/bin/aws` names another AWS CLI than version 1
beside Python, such as Debian's version 2; `USERS_PYTHON` another Python than this one.
"""

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import boto3
import jsonschema
from samtranslator.yaml_helper import yaml_parse

import stack
from emulator import REGION, TOOLS, Front, post, running, wait_for, watching
from stack import ROOT

NAME = "agora-recording-callbacks"
EMAIL = "oncall@example.com"
# No file has it.
SECRET = "-".join(["typed", "and", "never", "written"])
CONFIRM = "Ctrl-C goes on without"


class Terminal:
    """A program in a terminal of its own, and somebody who reads and types."""

    def __init__(self, command, folder, environment):
        self.said, self.read, self.typed = "", 0, []
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Whoever runs this in the background has it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(command[0], command, environment)

    def more(self, deadline):
        """What is said next, or nothing at the end."""
        ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            sys.exit(f"nothing more was said:\n{self.said}")
        try:
            return os.read(self.terminal, 4096).decode(errors="replace").replace("\r", "")
        except OSError:
            return ""

    def expect(self, text, seconds=180):
        deadline = time.monotonic() + seconds
        while text not in self.said[self.read:]:
            more = self.more(deadline)
            if not more:
                sys.exit(f"it ended without {text!r}:\n{self.said}")
            self.said += more
        self.read = self.said.index(text, self.read) + len(text)

    def type(self, text):
        self.typed.append(text)
        os.write(self.terminal, f"{text}\n".encode())

    def interrupt(self):
        os.write(self.terminal, b"\x03")

    def end(self, seconds=240):
        deadline = time.monotonic() + seconds
        while more := self.more(deadline):
            self.said += more
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return status


def put_cli(command):
    """The AWS CLI; another one than ours may be too old to know the emulator's variable."""
    if "AWS_CLI" not in os.environ:
        command.symlink_to(TOOLS / "aws")
        return
    command.write_text(f'#!/bin/sh\nexec {os.environ["AWS_CLI"]} "$@" --no-verify-ssl '
                       '--endpoint-url "$AWS_ENDPOINT_URL"\n')
    command.chmod(0o755)


class Machine:
    """A new user's: a home, a folder with the download, Python and the AWS CLI, and no more."""

    def __init__(self, folder, front):
        self.folder = folder / "downloads"
        self.folder.mkdir()
        (folder / "home").mkdir()
        tools = folder / "bin"
        tools.mkdir()
        for name in ["sh", "tar", "gzip", "env"]:
            (tools / name).symlink_to(shutil.which(name))
        own = getattr(sys, "_base_executable", sys.executable)
        (tools / "python3").symlink_to(os.environ.get("USERS_PYTHON", own))
        put_cli(tools / "aws")
        for name in ["cargo", "rustc", "sam", "cc", "git"]:
            assert shutil.which(name, path=str(tools)) is None, name
        self.environment = {
            "PATH": str(tools), "HOME": str(folder / "home"), "TERM": "dumb", "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **front.environment(),
        }
        self.unpacked = None

    def unpack(self, release):
        (archive,) = release.glob("*.tar.gz")
        shutil.copy(archive, self.folder)

    def at(self, *command, **more):
        return Terminal(command, self.unpacked or self.folder, {**self.environment, **more})

    def without_a_terminal(self, *command, **more):
        return subprocess.run(
            command, cwd=self.unpacked, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )


@contextlib.contextmanager
def no_process_shows(secrets):
    """The list of processes is everybody's to read. A command of the AWS CLI takes longer than
    the time between two looks."""
    def look():
        for arguments in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                text = arguments.read_bytes()
                yield from (secret for secret in secrets if secret.encode() in text)

    with watching(look, 0.2) as shown:
        yield
    assert not shown, shown


def the_watch_sees():
    """A check that can't fail is none."""
    with contextlib.suppress(AssertionError):
        with no_process_shows(["planted"]):
            subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", "planted"])
        sys.exit("a secret in the list of processes isn't seen")


def make_release(folder):
    """A release of what `sam build` has built, which the emulator can take."""
    out = folder / "release"
    built = ROOT / ".aws-sam/build"
    tool = folder / "recordings"
    tool.write_text("#!/bin/sh\n")
    subprocess.run(
        [ROOT / ".ci/release", "--out", out, "--tool", tool, "--built", f"arm64={built}",
         "--built", f"x86_64={built}"],
        check=True, stdout=subprocess.DEVNULL,
    )
    return out


def contents(archive):
    with tarfile.open(archive) as tar:
        return {m.name.partition("/")[2]: tar.extractfile(m).read() for m in tar.getmembers()}


def for_the_emulator(release, alter=lambda text: text):
    """The templates without what the emulator can't create, in the archive, too."""
    (archive,) = release.glob("*.tar.gz")
    top = archive.name.removesuffix(".tar.gz")
    files = contents(archive)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            if name.startswith("template.release"):
                template = yaml_parse(alter(data.decode()))
                alarms = stack.of_type(template, "AWS::CloudWatch::Alarm")
                for alarm in [a for a, r in alarms.items() if "Metrics" in r["Properties"]]:
                    del template["Resources"][alarm]
                data = json.dumps(template).encode()
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))


def readme_commands():
    readme = (ROOT / "README.md").read_text()
    deploy = readme[readme.index("\n## Deploy it\n"):]
    return re.search(r"```sh\n(.*?)```", deploy, re.S).group(1)


def what_it_made(name=NAME):
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}
    return found, outputs


class Pager:
    """A subscriber of a topic, whose messages can be read."""

    def __init__(self, topic, name):
        self.sqs = boto3.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        asked = {"QueueUrl": self.queue, "AttributeNames": ["QueueArn"]}
        arn = self.sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
        boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def messages(self):
        """What has come since the last time."""
        got = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        for message in got.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in got.get("Messages", [])]


def fatal(sid):
    now_ms = int(time.time() * 1000)
    return json.dumps({
        "productId": 3, "eventType": 1, "notifyMs": now_ms, "noticeId": "1",
        "payload": {
            "cname": "math", "uid": "5", "sid": sid, "sequence": 0, "sendts": now_ms,
            "serviceType": 0,
            "details": {"module": 0, "errorLevel": 5, "errorCode": 110, "stat": 0, "errorMsg": ""},
        },
    }).encode()


# ----------------------------------------------------------------------------------------- the path
def a_new_user(machine, front):
    """The README's commands, three answers, and an alert arrives."""
    began = time.monotonic()
    user = machine.at("sh", "-e", "-c", readme_commands())
    user.expect("Region: ")
    user.type(REGION)
    user.expect("Secret (not shown): ")
    user.type(SECRET)
    user.expect("Email: ")
    user.type(EMAIL)
    user.expect("nothing gets in\nwithout your secret")
    user.expect(CONFIRM)
    _, outputs = what_it_made()
    pager = Pager(outputs["AlertTopicArn"], "pager")
    front.has_clicked = True
    user.expect(f"AlertTopic: email {EMAIL} is confirmed")
    user.expect(outputs["CallbackUrl"])
    assert user.end() == 0, user.said
    assert len(user.typed) == 3 and SECRET not in user.said, user.said
    assert "[y/N]" not in user.said, user.said
    assert "a Check signed with your secret: 200" in user.said, user.said
    print(user.said)
    (test,) = wait_for("test alert", 20, pager.messages)
    assert test["Subject"].startswith("[TEST]") and test["MessageAttributes"]["test"], test
    schema = json.loads((ROOT / "docs/alert.schema.json").read_text())
    custom = {key: schema["properties"][key] for key in ["version", "source"]}
    jsonschema.validate(json.loads(test["Message"]), {"properties": custom})
    assert post(outputs["CallbackUrl"], fatal("new-user"), SECRET)[1]["result"] == "stored"
    (alert,) = wait_for("alert", 20, pager.messages)
    assert "Fatal" in alert["Subject"], alert
    took = time.monotonic() - began
    print(f"{len(user.typed)} answers; the alert arrived after {took:.0f} s: {alert['Subject']}")
    (machine.unpacked,) = machine.folder.glob(f"{NAME}-*/")
    answered = json.loads((machine.unpacked / ".deploy.json").read_text())
    assert answered == {"region": REGION}, answered
    ignored = subprocess.run(["git", "check-ignore", ".deploy.json"], cwd=ROOT, capture_output=True)
    assert ignored.returncode == 0, "git would take the answers along"
    return pager


def nothing_secret_is_left(folder):
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert SECRET.encode() not in file.read_bytes(), file


def the_second_run(machine, pager):
    """It asks nothing, changes nothing, and rings nobody."""
    files = lambda: {f: f.stat().st_mtime_ns for f in machine.unpacked.iterdir()}
    functions = boto3.client("lambda")
    versions = lambda: [
        functions.list_versions_by_function(FunctionName=f"{NAME}-{name}")["Versions"]
        for name in ["callback", "sweeper", "viewer"]
    ]
    before = what_it_made()[0], files(), versions()
    user = machine.at("./deploy")
    assert user.end() == 0, user.said
    assert user.typed == [] and "Nothing to change." in user.said, user.said
    assert "The address is what it was" in user.said, user.said
    assert before == (what_it_made()[0], files(), versions())
    assert pager.messages() == []
    print("the second run changed nothing")


def an_upgrade(machine, release):
    """New defaults arrive; what was chosen stays."""
    sizes = lambda: {
        name: boto3.client("lambda").get_function_configuration(FunctionName=f"{NAME}-{name}")
        for name in ["callback", "sweeper", "viewer"]
    }
    user = machine.at("./deploy", "SweeperMemorySize=640")
    assert user.end() == 0 and user.typed == [], user.said
    assert sizes()["sweeper"]["MemorySize"] == 640
    added = ("\nParameters:\n", "\nParameters:\n  Added:\n    Type: String\n    Default: new\n")
    raised = ("\n  MemorySize:\n    Type: Number\n    Default: 256",
              "\n  MemorySize:\n    Type: Number\n    Default: 320")

    def alter(text):
        for old, new in [added, raised]:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    for_the_emulator(release, alter)
    (archive,) = release.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(release)
    (unpacked,) = release.glob(f"{NAME}-*/")
    before = what_it_made()[1]["CallbackUrl"]
    user = Terminal(["./deploy", "--region", REGION], unpacked, machine.environment)
    assert user.end() == 0 and user.typed == [], user.said
    now = sizes()
    assert now["callback"]["MemorySize"] == 320 and now["sweeper"]["MemorySize"] == 640, now
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in what_it_made()[0]["Parameters"]}
    assert parameters["Added"] == "new" and parameters["AlertEmail"] == EMAIL, parameters
    # The kinds that are on by default are named by the code, so that new ones arrive with it.
    assert now["callback"]["Environment"]["Variables"]["ALERT_KINDS"] == ""
    assert what_it_made()[1]["CallbackUrl"] == before
    print("an upgrade brought its new defaults, and left what had been chosen")
    live = lambda: boto3.client("lambda").get_alias(FunctionName=f"{NAME}-callback", Name="live")
    upgraded, began = live()["FunctionVersion"], time.monotonic()
    done = machine.without_a_terminal("./rollback")
    took = time.monotonic() - began
    assert done.returncode == 0 and live()["FunctionVersion"] != upgraded, done
    print(f"rolled back in {took:.1f} s: {done.stdout.strip()}")


# -------------------------------------------------------------------------------------------- traps
def enter_and_worse(machine, front):
    """Enter and typing errors, at each question, a secret that isn't the console's, and nobody who
    clicks in the mail."""
    front.has_clicked = False
    wrong, right = "wrong-secret", "right-secret"
    (machine.unpacked / ".deploy.json").unlink()
    user = machine.at("./deploy", "--stack", "other")
    for what, answers in [
        ("Region: ", ["", "Frankfurt", REGION]),
        ("Secret (not shown): ", ["", "two words", wrong]),
        ("Email: ", ["", "not-an-address", EMAIL]),
    ]:
        for answer in answers:
            user.expect(what)
            user.type(answer)
            if answer != answers[-1]:
                user.expect("This has to be")
    user.expect(CONFIRM)
    user.interrupt()
    assert user.end() == 0, user.said
    assert f"AlertTopic: email {EMAIL} is NOT confirmed" in user.said, user.said
    assert "[TEST]" not in user.said and "Paste this address" in user.said, user.said
    front.has_clicked = True
    user = machine.at("./deploy", "--region", REGION, "--stack", "other", "--test-alert")
    assert user.end() == 0 and "[TEST] was sent to AlertTopic." in user.said, user.said
    parameters = what_it_made("other")[0]["Parameters"]
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in parameters}
    assert parameters["AlertEmail"] == parameters["OpsEmail"] == EMAIL, parameters
    url = what_it_made("other")[1]["CallbackUrl"]
    assert post(url, fatal("wrong"), right)[0] == 401
    print("Enter and typing errors were asked for again, and nobody had to click")


def the_wrong_secret(machine):
    """It is typed anew, and `./deploy` waits until the functions have it."""
    right = "right-secret"
    user = machine.at("./deploy", "--region", REGION, "--stack", "other", "--secret")
    user.expect("Secret (not shown): ")
    user.type(right)
    assert user.end() == 0, user.said
    assert "a Check signed with your secret: 200" in user.said, user.said
    url = what_it_made("other")[1]["CallbackUrl"]
    assert post(url, fatal("right"), right)[0] == 200
    print("a wrong secret was put right")


def without_a_terminal(machine):
    """It says what is missing, makes nothing, and takes it from the environment."""
    (machine.unpacked / ".deploy.json").unlink()
    done = machine.without_a_terminal("sh", "-c", "./deploy --parameters | true")
    assert done.stderr == "", done
    done = machine.without_a_terminal("./deploy", "--stack", "robot")
    assert done.returncode == 1 and "Region isn't given" in done.stderr, done
    region = {"AWS_REGION": REGION}
    done = machine.without_a_terminal("./deploy", "--stack", "robot", **region)
    assert done.returncode == 1 and "Secret (not shown) isn't given" in done.stderr, done
    known = {**region, "AGORA_SECRET": SECRET}
    done = machine.without_a_terminal("./deploy", "--stack", "robot", **known)
    assert done.returncode == 1 and "Email isn't given" in done.stderr, done
    for parameters, words in [
        (["AlertEmial=x"], "no parameter AlertEmial"), (["x"], "form"),
        (["AlertEmail=", "RetentionDays=0"], "RetentionDays"),
    ]:
        done = machine.without_a_terminal("./deploy", "--stack", "robot", *parameters, **known)
        assert done.returncode == 1 and words in done.stderr, done
    stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]
    assert "robot" not in {s["StackName"] for s in stacks}
    done = machine.without_a_terminal("./deploy", "--stack", "robot", "AlertEmail=", **known)
    assert done.returncode == 0 and "Nobody listens to AlertTopic." in done.stdout, done
    print("without a terminal it says what is missing, and that nobody listens")


def a_failure(machine, release):
    """What the emulator can't create stands for what AWS refuses: it says what, and what to do."""
    command, known = [release / "deploy", "--stack", "failing", "AlertEmail="], {
        "AWS_REGION": REGION, "AGORA_SECRET": SECRET,
    }
    done = machine.without_a_terminal(*command, **known)
    assert done.returncode == 1 and "It failed and was undone (ROLLBACK_COMPLETE)" in done.stderr
    assert "Alarm: AWS::CloudWatch::Alarm" in done.stderr, done.stderr
    assert "Nothing is left of it." in done.stderr, done.stderr
    stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]
    assert "failing" not in {s["StackName"] for s in stacks}, stacks
    print("a deployment that failed says why, and leaves nothing")


def plain_sam(environment, release, folder, machine):
    """The same files by SAM, as it is documented for those who automate; `./deploy` takes over."""
    with tarfile.open(next(release.glob("*.tar.gz"))) as tar:
        tar.extractall(folder)
    (unpacked,) = folder.glob(f"{NAME}-*/")
    boto3.client("s3").create_bucket(
        Bucket="by-sam", CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    subprocess.run(
        ["sam", "deploy", "--template-file", "template.release.yaml", "--stack-name", "by-sam",
         "--s3-bucket", "by-sam", "--capabilities", "CAPABILITY_IAM", "--region", REGION,
         "--parameter-overrides", f"AgoraSecret={SECRET}", f"AlertEmail={EMAIL}"],
        cwd=unpacked, env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True,
    )
    url = what_it_made("by-sam")[1]["CallbackUrl"]
    assert wait_for("answer", 30, lambda: post(url, fatal("by-sam"), SECRET))[0] == 200
    user = machine.at("./deploy", "--region", REGION, "--stack", "by-sam", "LogLevel=WARN")
    assert user.end() == 0 and user.typed == [], user.said
    found, outputs = what_it_made("by-sam")
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found["Parameters"]}
    assert (parameters["AlertEmail"], parameters["LogLevel"]) == (EMAIL, "WARN"), parameters
    assert outputs["CallbackUrl"] == url and post(url, fatal("taken-over"), SECRET)[0] == 200
    print("plain sam deploy takes the same files, and ./deploy its stack")


def releases_are_equal(folder):
    """Whoever packs the same code gets the same bytes; the template differs only in its code."""
    one, two = folder / "one", folder / "two"
    for place in [one, two]:
        place.mkdir()
    first = make_release(one)
    second = make_release(two)
    sums = [(release / "SHA256SUMS").read_text() for release in [first, second]]
    assert sums[0] == sums[1]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=first, check=True)
    own = stack.read()
    for name, architecture in [("", "arm64"), ("-x86_64", "x86_64")]:
        released = yaml_parse((first / f"template.release{name}.yaml").read_text())
        for function in stack.of_type(released, "AWS::Serverless::Function").values():
            code = function["Properties"]["CodeUri"]
            assert (first / code).exists() and code.endswith(f"-{architecture}.zip"), code
            assert (first / code).stat().st_size < 6 * 1024 * 1024
            function["Properties"]["CodeUri"] = "."
        parameter = released["Parameters"]["Architecture"]
        assert parameter["AllowedValues"] == [architecture] == [parameter["Default"]]
        parameter.update(own["Parameters"]["Architecture"])
        for template in [own, released]:
            for function in stack.of_type(template, "AWS::Serverless::Function").values():
                for key in ["BuildMethod", "BuildProperties"]:
                    function["Metadata"].pop(key, None)
        assert released == own, name
    files = contents(next(first.glob("*.tar.gz")))
    links_lead_somewhere(files)
    print(f"two packings are equal; in the archive: {', '.join(sorted(files))}")
    return first, second


def links_lead_somewhere(files):
    """Whoever has the archive alone has what its documents show and link to, but for sources."""
    for name in [name for name in files if name.endswith(".md")]:
        text = files[name].decode()
        links = re.findall(r"\]\(([^)#\s]+)", text)
        links += re.findall(r'(?:src|srcset)="([^"]+)"', text)
        for link in links:
            file = os.path.normpath(Path(name).parent / link)
            is_elsewhere = "://" in link or file.startswith(("..", "src", "lab", "."))
            is_there = file in files or any(other.startswith(f"{file}/") for other in files)
            assert is_elsewhere or is_there, (name, link)


def main():
    with tempfile.TemporaryDirectory() as folder, running() as environment:
        folder = Path(folder)
        release, newer = releases_are_equal(folder)
        for_the_emulator(release)
        front = Front(folder)
        (folder / "user").mkdir()
        machine = Machine(folder / "user", front)
        machine.unpack(release)
        the_watch_sees()
        with no_process_shows([SECRET, "wrong-secret", "right-secret"]):
            pager = a_new_user(machine, front)
            nothing_secret_is_left(folder / "user")
            the_second_run(machine, pager)
            enter_and_worse(machine, front)
            an_upgrade(machine, newer)
            without_a_terminal(machine)
            the_wrong_secret(machine)
            a_failure(machine, release)
        (folder / "sam").mkdir()
        plain_sam(environment, release, folder / "sam", machine)


if __name__ == "__main__":
    main()
