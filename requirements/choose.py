"""Prints which stack fits this machine, `old` or `new`, and the reason to standard error; `make` runs it.

The table below is the only place that says what each stack needs. Runs on Python 3.7 or newer, so that it can
report unsupported versions.
"""

from __future__ import annotations

import platform
import sys
from typing import NamedTuple


class Stack(NamedTuple):
    """One lock: what it holds, the oldest glibc that runs its wheels, and the Pythons that have them."""

    name: str
    holds: str
    glibc: tuple[int, int]
    oldest: tuple[int, int]
    newest: tuple[int, int]

    def fits(self, glibc: tuple[int, int], python: tuple[int, int]) -> bool:
        """Returns whether all of the lock's wheels install."""
        return glibc >= self.glibc and self.oldest <= python <= self.newest

    @property
    def needs(self) -> str:
        """What the stack runs on, in words."""
        pythons = _dotted(self.oldest) + (f" to {_dotted(self.newest)}" if self.newest > self.oldest else "")
        return f"the {self.name} stack needs glibc {_dotted(self.glibc)} or newer and Python {pythons}"


# The newest first. ml-metadata's and tfx-bsl's wheels decide; they are for x86_64 alone.
STACKS = [
    Stack("new", "TFX 1.21, TensorFlow 2.21", (2, 39), (3, 11), (3, 13)),
    Stack("old", "TFX 1.16, TensorFlow 2.16", (2, 28), (3, 11), (3, 11)),
]


class Unfit(Exception):
    """No stack runs here, or not the one that was asked for."""


def choose(system: str, machine: str, libc: str, python: tuple[int, int], asked: str = "") -> tuple[str, str]:
    """Returns the name of the newest stack that fits, or of the one asked for, and a sentence that says why.

    Args:
      system: as `platform.system()`.
      machine: as `platform.machine()`.
      libc: glibc's version; empty for another C library.
      python: its major and minor version.
      asked: a stack's name, or nothing.

    Raises:
      Unfit: its message is one line that says what is needed.
    """
    if (system, machine) != ("Linux", "x86_64"):
        raise Unfit(f"Expected Linux on x86_64, received {system} on {machine}. Use the devcontainer; see README.md")
    if not libc:
        raise Unfit("Expected Linux with glibc, found another C library (musl?). Use the devcontainer; see README.md")
    if asked not in ("", *(stack.name for stack in STACKS)):
        raise Unfit(f"Expected STACK to be {' or '.join(stack.name for stack in STACKS)}, received '{asked}'")
    glibc = tuple(int(part) for part in libc.split(".")[:2])
    here = f"glibc {libc}, Python {_dotted(python)}"
    stacks = [stack for stack in STACKS if asked in ("", stack.name)]
    for stack in stacks:
        if stack.fits(glibc, python):
            why = "STACK asks for it" if asked else f"the newest that fits {here}"
            return stack.name, f"Stack {stack.name}: {stack.holds} ({why})"
    needs = "; ".join(stack.needs for stack in stacks)
    advice = next((f". Install {name}, or: make PYTHON=/path/to/{name}" for name in _pythons(stacks, glibc)), "")
    raise Unfit(f"No stack fits {here}: {needs}{advice}")


def _pythons(stacks: list[Stack], glibc: tuple[int, ...]) -> list[str]:
    return [f"python{_dotted(stack.newest)}" for stack in stacks if glibc >= stack.glibc]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def main() -> int:
    """Chooses for this machine and this Python; the only argument is the stack that is asked for."""
    library, version = platform.libc_ver()
    libc = version if library == "glibc" else ""
    try:
        name, why = choose(platform.system(), platform.machine(), libc, sys.version_info[:2], "".join(sys.argv[1:]))
    except Unfit as unfit:
        print(unfit, file=sys.stderr)
        return 1
    print(why, file=sys.stderr)
    print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
