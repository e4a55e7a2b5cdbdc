"""What devices send to each other, read from a compiled program."""

import re
from collections.abc import Iterator

import numpy as np

_COLLECTIVE = re.compile(
    r" = (.*?) (?:all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    r"|collective-broadcast|ragged-all-to-all)(?:-start)?\("
)
_ARRAY = re.compile(r"([a-z]+)(\d+)(?:[a-z]\w*)?\[([\d,]*)\]")
_CALLED = re.compile(r"(?:body|to_apply|calls|condition|computation)=%?([\w.-]+)")
_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def collective_bytes(text: str) -> int:
    """Bytes of the arrays that collectives give one device, those of a loop once each time.

    Args:
      text: `jax.stages.Compiled.as_text()`.
    """
    bodies: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if head := re.match(r"(?:(ENTRY) )?%?([\w.-]+) \(.*\{$", line):
            name = head[1] or head[2]
            bodies[name] = []
        elif name:
            bodies[name].append(line)
    return sum(_of(bodies, "ENTRY"))


def _of(bodies: dict[str, list[str]], name: str) -> Iterator[int]:
    for line in bodies[name]:
        if found := _COLLECTIVE.search(line):
            for _, bits, shape in _ARRAY.findall(found[1]):
                yield int(np.prod([int(n) for n in shape.split(",") if n])) * int(bits) // 8
            continue
        times = 1
        if " while(" in line:
            count = _COUNT.search(line)
            assert count, f"a loop of unknown length: {line[:200]}"
            times = int(count[1])
        for called in _CALLED.findall(line):
            yield from (times * size for size in _of(bodies, called))
