"""The AWS CLI without its start: a process has it loaded, and forks for each command. It is the
same program; a test that runs hundreds of commands waits for each a tenth as long.

    with cli.loaded(folder) as tools:    # a folder with `aws` and `python3`, for the PATH
"""

import ast
import contextlib
import gc
import os
import signal
import socket
import sys
from pathlib import Path

SERVICES = ["cloudformation", "dynamodb", "events", "lambda", "logs", "s3api", "scheduler",
            "secretsmanager", "sns", "sts"]
# What the PATH has: hands over its arguments, environment and files, and waits.
# It imports built-in modules only: a test starts it thousands of times.
CLIENT = """#!{python} -IS
import _socket, posix, sys
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
files = b"".join(file.to_bytes(4, sys.byteorder) for file in range(3))
server.sendmsg([b"x"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
environment = {{name.decode(): value.decode() for name, value in posix.environ.items()}}
server.sendall(ascii((sys.argv[1:], environment, posix.getcwd())).encode() + b"\\n")
posix._exit(server.recv(1)[0])
"""


@contextlib.contextmanager
def loaded(folder):
    folder.mkdir()
    address = str(folder / "socket")
    client = folder / "aws"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    # A version manager's Python puts a folder with its own `aws` before this one.
    (folder / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(64)
    process = os.fork()
    if process == 0:
        try:
            serve(server)
        finally:
            os._exit(1)
    server.close()
    try:
        yield folder
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)


def serve(server):
    from awscli import clidriver

    # What every command would read and import by itself.
    driver = clidriver.create_clidriver()
    for service in SERVICES:
        driver.session.create_client(service.replace("s3api", "s3"), "eu-central-1",
                                     aws_access_key_id="x", aws_secret_access_key="x")
        driver._get_command_table()[service]._get_command_table()
        driver.session.get_paginator_model(service.replace("s3api", "s3"))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What the processes have in common stays so.
    gc.disable()
    gc.freeze()
    while True:
        asked, _ = server.accept()
        if os.fork() == 0:
            os._exit(answer(asked, driver))
        asked.close()


def answer(asked, driver):
    _, files, _, _ = socket.recv_fds(asked, 1, 3)
    with asked.makefile() as lines:
        arguments, environment, folder = ast.literal_eval(lines.readline())
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for stream, mode in [("stdin", "r"), ("stdout", "w"), ("stderr", "w")]:
        setattr(sys, stream, open(["stdin", "stdout", "stderr"].index(stream), mode, closefd=False))
    try:
        status = driver.main(arguments)
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    asked.sendall(bytes([status if isinstance(status, int) else 1]))
    return 0
