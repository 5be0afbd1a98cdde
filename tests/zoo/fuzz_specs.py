"""Bad specs by the thousand, made from a seed: ``python fuzz_specs.py COUNT FOLDER`` prints how they were answered.

Each is refused by what a person meets: the file is read and checked as ``fuseboard validate`` does it.
"""

import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from zoo.guarded_yaml import YamlError, read_text
from zoo.spec import MethodSpec, Problem, check, presets

WORDS = ("name", "method", "settings", "width", "encoders", "fusion", "heads", "layers", "conv", "gate", "mult", "a")
ODD = "\0\x07\x1b\x7f\x85\u200b\u202e\u2066\ufeff\ufffe\ud800é漢😀\U0010ffff`'\"{}[]&*!|>%@#:,?-~\\ \t\n"
BASES = [text for text in (MethodSpec.model_dump_json(spec) for spec in presets().values())]


def valid(rng: random.Random) -> dict:
    return {**json.loads(rng.choice(BASES)), "name": "fuzzed"}


def aliases(rng: random.Random) -> str:
    """A bomb: every level names the one before it several times."""
    wide, deep = rng.randint(3, 12), rng.randint(4, 40)
    lines = ["a0: &a0 [" + "x," * rng.randint(1, 50) + "]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * wide)}]" for n in range(1, deep)]
    return "\n".join(lines) + rng.choice(["", "\nname: *b", "\nsettings: &s {x: *s}", "\n<<: *a0"])


def nested(rng: random.Random) -> str:
    depth = rng.choice([25, 100, 1000, 10_000, 15_000])
    opening, closing = rng.choice([("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("[{a: ", "}]")])
    return "name: x\nmethod: mult\nsettings:\n  a: " + opening * depth + "1" + closing * rng.choice([0, depth])


def number(rng: random.Random) -> str:
    digits = rng.choice([20, 400, 4000, 20_000])
    huge = rng.choice(
        ["9" * digits, "0x" + "f" * digits, "0b" + "1" * digits, "0o" + "7" * digits, f"1.0e+{'9' * digits}"]
        + ["1" + ":59" * digits, "-" + "9" * digits, "." + "9" * digits, ".inf", "-.Inf", ".nan", "1_" * digits + "0"]
    )
    spec = valid(rng)
    key = rng.choice(list(spec["settings"]) or ["width"])
    return json.dumps({**spec, "settings": {**spec["settings"], key: "HERE"}}).replace('"HERE"', huge)


def wrong_type(rng: random.Random) -> str:
    """A valid spec with one value of another kind."""
    spec = valid(rng)
    odd = rng.choice([None, 1.5, -1, True, [], {}, [[]], {"a": 1}, "", "text", 10**30, [None], {"": ""}, ["a"] * 50])
    place = rng.choice(["name", "method", "modalities", "label", "settings", "remedy", "inner"])
    # A mapping inside the settings of a class is its own affair until it is built.
    plain = [key for key, value in spec["settings"].items() if not isinstance(value, dict | None)]
    if place == "inner" and plain:
        spec["settings"][rng.choice(plain)] = {"no such part": odd, "nor this": odd}
    elif place == "remedy":
        spec["remedy"] = {"name": odd, "alpha": odd}
    elif place in ("label", "modalities"):
        spec[place] = {"titel": odd}
    else:
        spec[place] = [odd]
    return json.dumps(spec)


def characters(rng: random.Random) -> str:
    """A valid spec with characters where none belong."""
    text = json.dumps(valid(rng), ensure_ascii=False)
    junk = "".join(rng.choice(ODD) for _ in range(rng.randint(1, 30))) + rng.choice("\0\x1b\ud800\u202e\x07")
    at = rng.randrange(len(text))
    return text[:at] + junk + text[at:]


def soup(rng: random.Random) -> str:
    """Characters at random; a key that no spec has makes it wrong even where it happens to be YAML."""
    length = rng.choice([1, 10, 100, 1000, 10_000])
    pieces = [rng.choice(ODD) if rng.random() < 0.5 else rng.choice(WORDS) for _ in range(length)]
    return "nonsense: " + "".join(pieces)


def names(rng: random.Random) -> str:
    """Keys and values of a valid spec, misspelt."""
    spec = valid(rng)
    word = rng.choice(["name", "method", "settings"])
    wrong = word[:-1] + rng.choice(["", "x", "é", "s" * 5000])
    spec[wrong] = spec.pop(word)
    return json.dumps(spec)


def tags(rng: random.Random) -> str:
    tag = rng.choice(
        ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary aGk=", "!!set {a, b}", "!x y"]
        + ["!!timestamp 2020-01-01", "!!omap [a: 1]", "!<tag:example.org,2000:x> y", "!!int word", "!!float x"]
    )
    return f"name: x\nmethod: {tag}\nsettings: {{a: {tag}}}\n"


def repeated(rng: random.Random) -> str:
    line = rng.choice(
        ["name: a\n", "settings: {a: 1}\n", "---\n", "- a\n", "? a\n", "a: b: c\n", "%YAML 1.1\n", "...\n"]
    )
    return line * rng.choice([2, 100, 2000])


def large(rng: random.Random) -> bytes:
    size = rng.choice([33, 100, 1000]) * 1024
    return (rng.choice([b"a: b\n", b"- x\n", b"[", b"\0", b"x", b"# comment\n", b"\xff\xfe"]) * size)[:size]


def enormous(rng: random.Random) -> bytes:
    return rng.choice([b"a: b\n", b"[[[[[", b"aaaaa", b"&a *a"]) * (10 * 2**20)  # 50 MB


def undecodable(rng: random.Random) -> bytes:
    return "name: x\n".encode(rng.choice(["utf-16", "utf-32", "utf-16-be"])) + rng.randbytes(rng.randint(0, 200))


KINDS: tuple[Callable, ...] = (aliases, nested, number, wrong_type, characters, soup, names, tags, repeated)
KINDS += (large, undecodable)


def bad_spec(seed: int) -> tuple[str, bytes]:
    """Kind and content of one; every thousandth has 50 MB."""
    rng = random.Random(seed)
    kind = enormous if seed % 1000 == 999 else KINDS[seed % len(KINDS)]
    content = kind(rng)
    return kind.__name__, content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")


def answered(path: Path) -> list[Problem]:
    """What a person is told of a file."""
    try:
        return check(read_text(path))[1]
    except YamlError as error:
        return [Problem("", error.message, error.line)]


def peak_mib() -> int:
    """Of this program alone: what getrusage tells begins with the size of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


def main(count: int, folder: Path) -> None:
    slowest, taken, lines = (0.0, ""), [], set()
    path = folder / "bad.yaml"
    for seed in range(count):
        kind, content = bad_spec(seed)
        path.write_bytes(content)
        del content
        started = time.process_time()
        problems = answered(path)
        seconds = time.process_time() - started
        slowest = max(slowest, (seconds, f"{kind} {seed}"))
        said = "\n".join(map(str, problems)).encode()  # could be printed
        if not problems or len(said) > 20_000 or b"Traceback" in said:
            taken.append(f"{kind} {seed}: {said[:200]!r}")
        lines.add(problems[0].message[:20] if problems else "")
    print(
        json.dumps(
            {
                "count": count,
                "not_refused": taken,
                "slowest_seconds": round(slowest[0], 3),
                "slowest": slowest[1],
                "peak_mib": peak_mib(),
                "answers": len(lines),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
