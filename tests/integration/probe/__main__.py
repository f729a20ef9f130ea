"""Stands where the workload stands and writes down what a container may and may not do."""

import json
import os
import socket
import sys


def attempt(action):
    try:
        action()
    except OSError as error:
        return os.strerror(error.errno)
    return "allowed"


def write(path):
    def action():
        with open(path, "w") as file:
            file.write("x")
        os.remove(path)

    return action


def connect():
    socket.create_connection(("192.0.2.1", 80), timeout=2)


def status():
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def options_of(place):
    with open("/proc/mounts") as file:
        mounts = [line.split() for line in file]
    return [options.split(",") for _, mounted, _, options, *_ in mounts if mounted == place]


def main():
    out = sys.argv[sys.argv.index("--out") + 1]
    said = status()
    found = {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": [said[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")],
        "no_new_privileges": said["NoNewPrivs"],
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "connect": attempt(connect),
        "write_root": attempt(write("/x")),
        "write_usr": attempt(write("/usr/x")),
        "write_workload": attempt(write("/harness/workload/x")),
        "write_data": attempt(write("/harness/data/x")),
        "write_tmp": attempt(write("/tmp/x")),
        "write_home": attempt(write(os.path.expanduser("~/x"))),
        "write_out": attempt(write(out + "/x")),
        "tmp_options": options_of("/tmp"),
        "socket_there": os.path.exists("/var/run/docker.sock"),
        "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
        "environment": {k: v for k, v in os.environ.items() if k.startswith(("TF_", "CUDA"))},
    }
    with open(out + "/found.json", "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
