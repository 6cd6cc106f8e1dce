"""What layer/native replaces in MicroPython does the same, only faster."""

import subprocess
import sys

import pytest

from tests.conftest import BuiltLayer

# Prints every result of 20,000 operations on dictionaries: of names, which MicroPython interns, of
# texts that it doesn't, of numbers, and of a mixture.
_DICTIONARIES = """
state = 1
def random(limit):
    global state
    state = (state * 1103515245 + 12345) % 2147483648
    return (state >> 8) % limit
names = ["append", "keys", "value", "x", "read", "__init__"] + ["name%d" % i for i in range(60)]
def key(kind):
    number = random(60)
    if kind == 0: return names[number]
    if kind == 1: return "a text that is longer than what is shared " + str(number)
    if kind == 2: return number
    return key(random(3))
for kind in (0, 1, 2, 3, 0, 3):
    found = {}
    for step in range(3500):
        name = key(kind)
        chance = random(100 if step % 700 < 500 else 10)
        if chance < 4: print(found.pop(name, "none"))
        elif chance < 40: found[name] = step
        elif chance < 41: print(sorted([str(each) for each in found.items()]))
        else: print(found.get(name, "none"), name in found, len(found))
"""
# Prints whether 3,000 values of many sizes have kept their contents, while others became garbage.
_ALLOCATIONS = """
kept = {}
for step in range(60000):
    slot = (step * 7919) % 3000
    size = (step * 31) % 97 if step % 100 else step % 5000
    value = [bytes([step % 251]) * size, [step] * (size % 9), {str(step): step}]
    if step % 3 == 0: kept[slot] = (step, size, value)
    elif step % 7 == 0: kept.pop(slot, None)
wrong = 0
for step, size, value in kept.values():
    wanted = [bytes([step % 251]) * size, [step] * (size % 9), {str(step): step}]
    wrong += value != wanted
print(len(kept), wrong)
"""
# Prints how each of these ends: a call that never returns, and one after it.
_CALLS = """
def forever(number): return forever(number + 1) + 1
def count(number): return 0 if number == 0 else 1 + count(number - 1)
try: forever(0)
except RuntimeError: print("too deep")
print(count(30))
"""


@pytest.mark.parametrize("script", [_DICTIONARIES, _ALLOCATIONS, _CALLS])
def test_dictionaries_memory_and_calls_behave_as_in_cpython(layer: BuiltLayer, script: str) -> None:
    """A fault in them would break everything, perhaps only in rare cases."""
    ours, cpythons = (
        subprocess.run(
            [interpreter, "-c", script], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for interpreter in (str(layer.micropython), sys.executable)
    )

    assert len(ours) > len("3000 0")
    assert ours == cpythons
