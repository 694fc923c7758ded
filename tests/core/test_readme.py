"""What the README says of commands, exit codes and settings is so."""

import re

from harness.cli import cli
from harness.config import schema
from harness.errors import MEANING, ExitCode
from harness.manual import FILES, TOPICS, topic_rows
from harness.spec import spec_path

README = (spec_path().parent / "README.md").read_text(encoding="utf-8")


def test_exit_codes_are_those_of_the_harness_in_order_of_precedence() -> None:
    rows = [(code, says) for code, _, says in topic_rows("exit-codes")]
    assert re.findall(r"^\| (\d+) \| (.+) \|$", README, re.M) == rows
    assert {int(code) for code, _ in rows} == set(MEANING) == set(ExitCode)
    assert f"first of {', '.join(code for code, _ in rows)}:" in " ".join((cli.help or "").split())


def test_every_verb_and_flag_it_names_exists() -> None:
    used = re.findall(r"stepup ([a-z]+)((?: --[a-z-]+(?: [^-\s#`]\S*)?| [^-\s#`]\S*)*)", README)
    assert len(used) > 12
    for verb, rest in used:
        options = {option for parameter in cli.commands[verb].params for option in parameter.opts}
        named = set(re.findall(r"--[a-z-]+", rest))
        assert named <= options, (verb, named - options)


def test_every_verb_has_help_that_says_something() -> None:
    for name, command in cli.commands.items():
        assert command.help is not None
        assert len(command.help) > 40, name
        for parameter in command.params:
            hidden = getattr(parameter, "hidden", False)
            assert hidden or parameter.param_type_name == "argument" or getattr(parameter, "help", None), parameter.name


def test_the_pictures_it_shows_are_there() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (spec_path().parent / path).is_file(), path


def test_every_setting_of_every_file_is_explained() -> None:
    for topic in TOPICS:
        assert all(says.strip() for _, _, says in topic_rows(topic)), topic
    for name in FILES.values():
        assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
