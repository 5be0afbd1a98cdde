"""YAML from strangers: the same data as a plain reader gives, with lines, and every trick refused."""

import pytest
import yaml

from zoo.guarded_yaml import ALIASES, NESTING, NODES, SIZE, YamlError, parse, read_text
from zoo.spec import SPECS


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_presets_read_as_a_plain_reader_reads_them(path):
    assert parse(path.read_text(encoding="utf-8")).data == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_everything_has_a_line():
    document = parse("name: a\nsettings:\n  width: 4\n  chain:\n    - conv: {layers: 2}\n    - gru\n")
    assert document.lines["settings", "width"] == 3
    assert document.lines["settings", "chain", 0, "conv", "layers"] == 5
    assert document.lines["settings", "chain", 1] == 6
    assert document.line(("settings", "chain", 1, "not", "there")) == 6
    assert document.line(()) == 1


def test_a_few_aliases_are_values():
    assert parse("a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


BOMB = (
    "a: &a ["
    + "x," * 900
    + "]\n"
    + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 2)}]\n" for old, new in zip("abcd", "bcde", strict=True))
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: [\n", 2, "not YAML"),
        ("", 1, "holds nothing"),
        ("a: " + "[" * (NESTING + 1) + "]" * (NESTING + 1), 1, "nested deeper"),
        ("a: &x 1\nb: [" + ", ".join(["*x"] * (ALIASES + 1)) + "]\n", 2, "aliases"),
        ("a: &x\n  b: *x\n", None, "unfold|recursive"),
        ("a: [" + "1,\n" * NODES + "]", None, "values and keys"),
        ("a: &x [" + ",".join("1" * 1000) + "]\nb: [*x, *x, *x, *x]\n", 1, "unfold"),
        ("a: *b\n", 1, "undefined alias"),
        ("x: 1\na: 1\na: 2\n", 3, "stands twice, in lines 2 and 3"),
        ("a: 99999999999999999999\n", 1, r"beyond 2\^53"),
        ("a: 0x" + "f" * 3000, 1, "limit for a number"),
        ("a: 1.0e+999\n", 1, "not a finite number"),
        ("a: .nan\n", 1, "not a finite number"),
        ("a: .inf\n", 1, "not a finite number"),
        ('a: "\\0"\n', 1, "U\\+0000"),
        ("a: b\0\n", 1, "U\\+0000"),
        ('a: "\\uD800"\n', 1, "U\\+D800|not YAML"),
        ("x: 1\na: \u202edroW\n", 2, "U\\+202E"),
        ("a: \x1b[31m\n", 1, "U\\+001B"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "tag .* not accepted"),
        ("a: !!binary aGk=\n", 1, "tag .* not accepted"),
        ("a: !mine b\n", 1, "tag .* not accepted"),
        ("a: !!int word\n", 1, "is no int"),
        ("a: !!bool 3\n", 1, "is no bool"),
        ("? [1]\n: 2\n", 1, "Keys are names"),
        ("k" * 50 + ": 1\n", 1, "longer than 40"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: " + "b" * 5000, 1, "5003 characters"),
        (BOMB, None, "aliases|unfold"),
    ],
)
def test_tricks_are_refused_with_their_line(text, line, said):
    with pytest.raises(YamlError, match=said) as caught:
        parse(text)
    assert line is None or caught.value.line == line


def test_a_file_is_not_read_past_the_limit(tmp_path):
    path = tmp_path / "long.yaml"
    path.write_bytes(b"a: b\n" * SIZE)
    with pytest.raises(YamlError, match="longer than 32 KiB"):
        read_text(path)
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(YamlError, match="not UTF-8: byte 0xff") as caught:
        read_text(path)
    assert caught.value.line == 1
    path.write_bytes("\ufeffname: ü\n".encode())
    assert parse(read_text(path)).data == {"name": "ü"}
