"""Ctrl-C, TERM and a closed terminal: what they do while a run is prepared and while it goes on."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Raises KeyboardInterrupt at once, or, once `gentle`, only notes the first signal.

    While cases run, nothing may be torn in half: the run looks at `asked` and ends the case in
    its own time. A second signal raises all the same. A signal that is ignored stays so, which is
    what `nohup` is for.
    """

    def __init__(self) -> None:
        self.gentle = False
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self.gentle or self.asked:
            raise KeyboardInterrupt
        self.asked = True
