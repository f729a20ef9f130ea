"""Add pinned packages to an image that holds a framework, and fail if what it held has changed.

Runs inside the image while it is built (standard library, Python 3.8):

    python3 add_packages.py REQUIREMENTS [PIP OPTION...]

What the image holds stays in its version, and what its own constraint files name stays as they want
it; the requirements pin the rest. pip's resolver refuses what cannot be had so; afterwards every
version is compared with the one before.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PINNED = re.compile(r"^([A-Za-z0-9._-]+)\s*={2,3}\s*([^\s;#]+)")


def pins(text):
    """Versions by normalised name, of the lines that pin one."""
    found = map(PINNED.match, text.splitlines())
    return {normal(pin.group(1)): pin.group(2) for pin in found if pin}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def named(text):
    """Normalised names of all that a constraint file speaks of, pinned or only bounded."""
    found = (re.match(r"[A-Za-z0-9._-]+", line.strip()) for line in text.splitlines())
    return {normal(name.group()) for name in found if name}


def constraints(before, wanted, bound):
    """Versions that must hold: the image's own, and ours where the image has nothing to say."""
    ours = {name: wanted[name] for name in wanted if name not in bound}
    return {**ours, **before}


def complaints(before, after, wanted):
    """What is wrong with the outcome: a version that was touched, a package nobody pinned."""
    touched = [
        f"{name} was {version} and is now {after.get(name, 'gone')}"
        for name, version in sorted(before.items())
        if after.get(name) != version
    ]
    stray = [
        f"{name} {version} came along, which nothing pins"
        for name, version in sorted(after.items())
        if name not in before and name not in wanted
    ]
    return touched + stray


def installed():
    listed = subprocess.check_output(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    )
    return {normal(package["name"]): package["version"] for package in json.loads(listed)}


def the_images_own_constraints():
    for path in os.environ.get("PIP_CONSTRAINT", "").split():
        yield from named(Path(path).read_text())


def install(names, held, options):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in sorted(held.items()))
        file.flush()
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "-c", file.name]
        # Debian marks its Python as managed by its own packages; an image is not that system.
        environment = dict(os.environ, PIP_BREAK_SYSTEM_PACKAGES="1")
        return subprocess.call(command + options + sorted(names), env=environment)


def main():
    wanted = pins(Path(sys.argv[1]).read_text())
    before = installed()
    held = constraints(before, wanted, set(the_images_own_constraints()))
    failed = install(wanted, held, sys.argv[2:])
    if failed:
        sys.exit("pip cannot add these packages beside what the image holds, which stays as it is")
    after = installed()
    wrong = complaints(before, after, wanted)
    if wrong:
        sys.exit("the image's own packages must not change:\n  " + "\n  ".join(wrong))
    for name in sorted(wanted):
        whose = " (the image's own)" if name in before else ""
        print(f"{name} {after[name]}{whose}")


if __name__ == "__main__":
    main()
