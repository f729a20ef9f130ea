"""Runs on the machine at the other end: the standard library alone, syntax of Python 3.8.

``python3 - probe FOLDER`` from standard input, later as a file of the job's folder:
``python3 JOB/agent.py COMMAND JOB [ARGUMENTS]``. What it answers stands on lines that begin with
MARK, for a login shell may print what it likes before.
"""

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional

MARK = ":::harness-agent "
LEAST = (3, 10)
"""The oldest Python that the harness itself runs on."""

OURS = "dl-feasibility-harness-job"
"""The file by which a job's folder is told from any other, before it is removed."""

GOES_ON = 75
"""The exit code of a clean-up that is refused because the run goes on."""

BEAT_S = 5.0
POLL_S = 0.2
START_S = 20.0
"""How long a run's parent may take until it has started the run."""

CLEAN_S = 15.0
"""How long it is tried: a case outlives the harness that was killed, and may still write."""

LARGE = 4 << 20
"""A larger file of an attempt is not sent before the run has ended."""

EXIT_WIDTH = 64
"""The file `exit` has its bytes from the start, so that a full disk cannot refuse them."""


def say(content: Any) -> None:
    """One answer, on a line of its own."""
    sys.stdout.write("\n" + MARK + json.dumps(content) + "\n")
    sys.stdout.flush()


def place(folder: str) -> str:
    """Where jobs and environments are: the folder that was named, or the user's cache."""
    if folder:
        return os.path.join(folder, "dl-feasibility-harness")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "dl-feasibility-harness")


def probe(folder: str = "") -> None:
    """What this machine has of what a job needs. Writes nothing but a file that it removes."""
    told = {"python": list(sys.version_info[:3])}  # type: Dict[str, Any]
    told["executable"] = sys.executable
    told["time"] = time.time()
    if sys.version_info < LEAST:
        return say(told)
    where = place(folder)
    nearest = where
    while not os.path.isdir(nearest):
        nearest = os.path.dirname(nearest)
    told["place"], told["writable"] = where, writable(nearest)
    told["free"] = shutil.disk_usage(nearest).free
    told["venv"] = has("venv") and has("ensurepip")
    told["pip"] = has("venv") and has("pip")
    told["python3"] = shutil.which("python3") or sys.executable
    told["other"] = other_harness()
    told["engine"], told["salt"] = engine(), os.path.exists(salt())
    return say(told)


def has(module: str) -> bool:
    from importlib import util

    return util.find_spec(module) is not None


def writable(folder: str) -> str:
    """Why nothing can be written there; empty where it can."""
    trial = os.path.join(folder, ".harness-trial-%d" % os.getpid())
    try:
        with open(trial, "w") as file:
            file.write("x")
        os.remove(trial)
    except OSError as error:
        return os.strerror(error.errno or errno.EIO)
    return ""


def other_harness() -> Optional[str]:
    """The version of a harness that is installed there by itself."""
    program = shutil.which("harness")
    if program is None:
        return None
    try:
        asked = subprocess.run(
            [program, "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = asked.stdout.decode("utf-8", "replace").split()
    return words[1] if len(words) == 2 and words[0] == "harness" else None


def engine() -> Optional[str]:
    """The address of a container engine that answers, or the program that needs none."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or "/run/user/%d" % os.getuid()
    named = os.environ.get("DOCKER_HOST", "")
    sockets = [named[len("unix://") :]] if named.startswith("unix://") else []
    sockets += ["/var/run/docker.sock", runtime + "/docker.sock"]
    sockets += ["/run/podman/podman.sock", runtime + "/podman/podman.sock"]
    for path in sockets:
        if answers(path):
            return path
    return shutil.which("apptainer") or shutil.which("singularity")


def salt() -> str:
    """Where the harness keeps the secret behind the names of machines."""
    folder = os.environ.get("XDG_STATE_HOME") or os.path.join(
        os.path.expanduser("~"), ".local", "state"
    )
    return os.path.join(folder, "harness", "salt")


def answers(path: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(path)
            line.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            return b" 200 " in line.recv(64)
    except OSError:
        return False


def sizes(_job: str, *paths: str) -> None:
    """The size of each ``data/…`` or ``weights/…``, where the harness looks for it; else null.

    Those of one folder stand in one folder there: the first of those that have most of them.
    """
    home = os.path.expanduser("~")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    keras = os.path.join(home, ".keras", "models")
    roots = {
        "data": [os.environ.get("HARNESS_DATA_DIR"), os.path.join(cache, "harness", "data")],
        "weights": [os.environ.get("HARNESS_WEIGHTS_DIR") or keras],
    }  # type: Dict[str, List[Optional[str]]]
    together = {}  # type: Dict[str, List[str]]
    for path in paths:
        together.setdefault(os.path.dirname(path), []).append(path)
    found = {}  # type: Dict[str, Optional[int]]
    for names in together.values():
        kind = names[0].partition("/")[0]
        each = [sizes_in(root, names) for root in roots[kind] if root]
        most = max(map(known, each))
        found.update(next(one for one in each if known(one) == most))
    say(found)


def known(found: Dict[str, Optional[int]]) -> int:
    return sum(size is not None for size in found.values())


def sizes_in(root: str, paths: List[str]) -> Dict[str, Optional[int]]:
    found = {}  # type: Dict[str, Optional[int]]
    for path in paths:
        there = os.path.join(root, path.partition("/")[2])
        found[path] = os.path.getsize(there) if os.path.isfile(there) else None
    return found


def put(job: str, path: str, size: str, sha256: str) -> None:
    """A file from standard input to `path` below the job: whole and verified, or not at all."""
    target = os.path.join(job, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    total, left = hashlib.sha256(), int(size)
    with open(target + ".part", "wb") as file:
        while left:
            piece = sys.stdin.buffer.read(min(left, 1 << 20))
            if not piece:
                raise SystemExit("%s: %d bytes did not arrive" % (path, left))
            file.write(piece)
            total.update(piece)
            left -= len(piece)
    if total.hexdigest() != sha256:
        raise SystemExit("%s arrived damaged" % path)
    os.replace(target + ".part", target)
    say({"put": path})


def hold(path: str, how: int) -> Optional[int]:
    """A handle that holds the lock on `path`; None where another process holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, how)
            if os.fstat(handle).st_ino == os.stat(path).st_ino:
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)  # whoever held it has removed it


def install(job: str, key: str, wheel: str, keep: str = "") -> None:
    """The environment `key`, made where it is not there; the job uses it until it is removed."""
    folder = os.path.join(os.path.dirname(os.path.dirname(job)), "envs")
    os.makedirs(folder, exist_ok=True)
    env = os.path.join(folder, key)
    ready = os.path.join(env, "ready")
    handle = hold(env + ".lock", fcntl.LOCK_EX)
    assert handle is not None  # it waits
    new = not os.path.isfile(ready)
    if new:
        shutil.rmtree(env, ignore_errors=True)
        try:
            make_environment(env, os.path.join(job, wheel))
        except BaseException:
            shutil.rmtree(env, ignore_errors=True)
            raise
        open(ready, "w").close()
    if keep:
        open(os.path.join(env, "kept"), "w").close()
    with open(os.path.join(job, "env"), "w") as file:
        file.write(env)
    os.close(handle)
    say({"env": env, "new": new})


def make_environment(env: str, wheel: str) -> None:
    python = os.path.join(env, "bin", "python")
    pip = [python, "-m", "pip"]
    make = [sys.executable, "-m", "venv", env]
    if not has("ensurepip"):  # as in Debian's images without python3-venv
        make.insert(3, "--without-pip")
        pip = [sys.executable, "-m", "pip", "--python", python]
    run(make)
    # Without --no-compile half of the time goes into modules that nobody imports.
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
    run([*pip, "install", "--no-cache-dir", *quiet, wheel])  # nothing stays elsewhere


def run(line: List[str]) -> None:
    """Run it as long as the connection lasts; what it said is told where it fails."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        gone = select.poll()
        gone.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always told
        while child.poll() is None:
            if gone.poll(POLL_S * 1000):
                child.kill()
                child.wait()
                raise SystemExit("nobody listens any more")
        if child.returncode:
            said.seek(0)
            sys.stderr.write(said.read().decode("utf-8", "replace")[-4000:])
            raise SystemExit(1)


def start(job: str) -> None:
    """Begin what `job.json` says, in a session of its own, once: asked again, it says so."""
    exit_file = os.path.join(job, "exit")
    if os.path.exists(exit_file):
        return say({"started": False})
    with open(exit_file, "w") as file:
        file.write(" " * EXIT_WIDTH)
    with open(os.path.join(job, "log"), "ab") as log, open(os.devnull, "rb") as nothing:
        line = [sys.executable, os.path.join(job, "agent.py"), "supervise", job]
        subprocess.Popen(line, stdin=nothing, stdout=log, stderr=log, start_new_session=True)
    appears(os.path.join(job, "pid"))
    return say({"started": True})


def appears(path: str) -> bool:
    """Whether the file is there, or comes in a while."""
    deadline = time.time() + START_S
    while not os.path.exists(path) and time.time() < deadline:
        time.sleep(0.05)
    return os.path.exists(path)


def supervise(job: str) -> None:
    """The run's parent there: it outlives the connection and writes down how the run ended."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lock, deadline = None, time.time() + 2
    while lock is None:
        lock = hold(os.path.join(job, "lock"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is None and time.time() > deadline:  # longer than a look takes: it runs already
            return
        time.sleep(0.02)
    env = environment_of(job)
    with open(os.path.join(job, "job.json")) as file:
        wanted = json.load(file)
    line = [os.path.join(env, "bin", "python"), "-m", "harness"] + wanted["words"]
    own = os.path.join(job, "state")  # sent where the machine has no such secret: none is left
    settings = {"XDG_STATE_HOME": own} if os.path.isdir(own) else {}
    for name, path in wanted["settings"].items():
        settings[name] = os.path.join(job, path)
    os.umask(0o022)
    child = subprocess.Popen(
        line,
        cwd=job,
        env=dict(os.environ, **settings),
        stdin=subprocess.DEVNULL,
        pass_fds=(lock,),  # as long as either lives, the run does
        start_new_session=True,
    )
    write_whole(os.path.join(job, "pid"), str(child.pid))
    code = child.wait()
    with open(os.path.join(job, "exit"), "r+") as file:
        file.write(json.dumps({"code": code}).ljust(EXIT_WIDTH))
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: str, text: str) -> None:
    with open(path + ".part", "w") as file:
        file.write(text)
    os.replace(path + ".part", path)


def state(job: str) -> Dict[str, Any]:
    """``{"state": "waiting" | "running" | "died"}``, or ``ended`` with its code."""
    try:
        with open(os.path.join(job, "exit")) as file:
            text = file.read().strip()
    except OSError:
        return {"state": "waiting" if os.path.isdir(job) else "gone"}
    if text:
        return {"state": "ended", "code": json.loads(text)["code"]}
    lock = hold(os.path.join(job, "lock"), fcntl.LOCK_SH | fcntl.LOCK_NB)  # two may look at once
    if lock is None:
        return {"state": "running"}
    os.close(lock)
    if not os.path.exists(os.path.join(job, "pid")):
        age = time.time() - os.path.getmtime(os.path.join(job, "exit"))
        if age < START_S:  # its parent has not got so far yet
            return {"state": "running"}
    with open(os.path.join(job, "exit")) as file:  # written between the two looks
        text = file.read().strip()
    return {"state": "ended", "code": json.loads(text)["code"]} if text else {"state": "died"}


def follow(job: str, offset: str, journal_offset: str) -> None:
    """Events from the byte `offset` on as they come, each behind where the next begins.

    Also what the attempts leave that the journal names from `journal_offset` on.
    """
    at, journal_at, beat = int(offset), int(journal_offset), 0.0
    told = {}  # type: Dict[str, Any]
    path = os.path.join(job, "events.jsonl")
    while True:
        how = state(job)  # before the file is read: what it wrote until then is told
        for line in whole_lines(path, at):
            at += len(line)
            say({"at": at, "line": line.decode("utf-8", "replace").strip()})
        journal_at = tell_attempts(os.path.join(job, "results"), journal_at, told)
        if how["state"] != "running":
            return say(how)
        if time.time() - beat > BEAT_S:
            say({"beat": at})  # also how the end of the connection is noticed
            beat = time.time()
        time.sleep(POLL_S)


def whole_lines(path: str, at: int) -> List[bytes]:
    """The lines from the byte `at` on that are whole."""
    try:
        with open(path, "rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:
        return []
    return data[: data.rfind(b"\n") + 1].splitlines(True)


def tell_attempts(results: str, at: int, told: Dict[str, Any]) -> int:
    """The files of each attempt that the journal names from the byte `at` on, then its line.

    `told` is what `run.json` was when it was last sent: it goes again where it has changed.
    """
    for run in map(os.path.basename, listed(results)):
        for line in whole_lines(os.path.join(results, run, "records.jsonl"), at):
            try:
                record = json.loads(line.decode())
                names = record["case_id"], record["repeat"], record["attempt"]
            except (ValueError, KeyError):  # a full disk's; the whole run arrives at the end
                return at
            attempt = run + "/cases/%s/r%d/a%d" % names
            facts = run + "/run.json"
            stamp = stamp_of(os.path.join(results, facts))
            if stamp != told.get(facts):
                tell_file(results, facts)
                told[facts] = stamp
            for name in sorted(map(os.path.basename, listed(os.path.join(results, attempt)))):
                tell_file(results, attempt + "/" + name, LARGE)
            say({"path": run + "/records.jsonl", "line": line.decode()})
            at += len(line)
    return at


def stamp_of(path: str) -> Any:
    """What a file has another of once it is written anew; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def tell_file(results: str, path: str, largest: Optional[int] = None) -> None:
    """A file below `results`; nothing of one above `largest`, which comes with the whole run."""
    try:
        with open(os.path.join(results, path), "rb") as file:
            data = file.read() if largest is None else file.read(largest + 1)
    except OSError:  # it is a folder, or is gone
        return
    if largest is None or len(data) <= largest:
        say({"path": path, "data": base64.b64encode(data).decode()})


def stop(job: str) -> None:
    """Ask the run to end: it ends its case, and journals it."""
    how = state(job)
    pid = os.path.join(job, "pid")
    if how["state"] == "running" and appears(pid):
        with open(pid) as file, contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read()), signal.SIGTERM)
    say(how)


def tell_log(job: str, limit: str) -> None:
    """The end of what the run printed."""
    path = os.path.join(job, "log")
    text = b""
    if os.path.exists(path):
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - int(limit)))
            text = file.read()
    say({"log": text.decode("utf-8", "replace")})


def bring(job: str) -> None:
    """The run folders as a tar stream, behind a line that says that it begins."""
    out = sys.stdout.buffer
    out.write(("\n" + MARK + '"tar"\n').encode())
    results = os.path.join(job, "results")
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for name in sorted(os.listdir(results)) if os.path.isdir(results) else []:
            tar.add(os.path.join(results, name), name)
    out.flush()


def clean(job: str) -> None:
    """Remove the job, and the environment that no other job uses and nobody wanted kept."""
    if not os.path.isfile(os.path.join(job, OURS)):
        sys.stderr.write("it is no job's folder\n")
        raise SystemExit(1)
    if state(job)["state"] == "running":
        sys.stderr.write("the run goes on\n")
        raise SystemExit(GOES_ON)
    env, deadline = environment_of(job), time.time() + CLEAN_S
    while not removed(job):
        if time.time() > deadline:
            sys.stderr.write("something there cannot be removed, or goes on writing\n")
            raise SystemExit(1)
        time.sleep(POLL_S)
    jobs = os.path.dirname(job)
    if env:
        clean_environment(env, jobs)
    for folder in (jobs, os.path.join(os.path.dirname(jobs), "envs"), os.path.dirname(jobs)):
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # only where nothing is in it
    say({"cleaned": True})


def removed(job: str) -> bool:
    """Whether the job's folder is gone now.

    The results are out of reach first, so that nobody is brought half of them for the run. By what
    goes last the job can be looked at, and this be asked for, again.
    """
    names = ("pid", "exit", "log", "env", "agent.py", OURS)
    last = [os.path.join(job, name) for name in names]
    with contextlib.suppress(OSError):
        os.rename(os.path.join(job, "results"), os.path.join(job, "brought"))
    for path in listed(job):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        elif path not in last:
            remove(path)
    try:
        left = {os.path.join(job, name) for name in os.listdir(job)}
        if left <= set(last):
            for path in last:
                remove(path)
            os.rmdir(job)
    except OSError:  # what cannot be looked at is not gone
        pass
    return not os.path.lexists(job)


def remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(path)


def clean_environment(env: str, jobs: str) -> None:
    handle, deadline = None, time.time() + 5
    while handle is None:
        handle = hold(env + ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        if handle is None and time.time() > deadline:  # another job is making it
            return
        time.sleep(0.1)
    kept = os.path.exists(os.path.join(env, "kept"))
    if not kept and env not in map(environment_of, listed(jobs)):
        shutil.rmtree(env, ignore_errors=True)
        os.remove(env + ".lock")
    os.close(handle)


def listed(folder: str) -> List[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        return []


def environment_of(job: str) -> str:
    """The environment that a job runs in; empty where it has none yet."""
    try:
        with open(os.path.join(job, "env")) as file:
            return file.read()
    except OSError:
        return ""


COMMANDS: Dict[str, Callable[..., None]] = {
    "probe": probe,
    "sizes": sizes,
    "put": put,
    "install": install,
    "start": start,
    "supervise": supervise,
    "state": lambda job: say(state(job)),
    "follow": follow,
    "stop": stop,
    "log": tell_log,
    "bring": bring,
    "clean": clean,
}


if __name__ == "__main__":
    os.umask(0o077)
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except OSError as error:
        sys.stderr.write("%s\n" % error)
        sys.exit(1)
