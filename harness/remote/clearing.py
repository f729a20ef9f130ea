"""A job taken away from its machine: at its end, or where it came to nothing."""

from __future__ import annotations

from harness.errors import MachineError
from harness.remote import state as states
from harness.remote.agent import GOES_ON, OURS
from harness.remote.ssh import script
from harness.remote.talk import Talk
from harness.remote.trouble import GoneError

_UNDO = '[ -f "$1/$2" ] || { rm -f "$1/agent.py"; rmdir "$1"; }'
"""Removes a folder whose making broke off."""


def clear(talk: Talk) -> None:
    """The run is here: its job is removed there, unless it is to be kept, and forgotten here."""
    if talk.job.keep:
        talk.note(f"kept there: {talk.job.folder}")
        states.forget(talk.job)
        return
    try:
        talk.ask("clean")
    except GoneError:
        pass  # it was removed, and the answer was lost
    except MachineError as error:
        talk.note(
            f"{talk.job.folder} is left there ({error.message}); "
            f"harness attach {talk.job.job} removes it"
        )
        return
    states.forget(talk.job)


def clear_unless_begun(talk: Talk) -> bool:
    """Leave nothing behind, as far as the machine lets us; False where the run goes on there.

    Where it does not let us the state stays, and so does what attach can do.
    """
    once = Talk(talk.address, talk.tell, state=talk.job)  # the other's connection may be cut
    try:
        said = once.connection.run(once.command("clean"))
        if said.code == GOES_ON:
            return False
        if said.code:
            once.connection.run(script(_UNDO, talk.job.folder, OURS))
            once.require_job()
        else:
            states.forget(talk.job)
    except GoneError:
        states.forget(talk.job)
    except MachineError:
        pass
    return True
