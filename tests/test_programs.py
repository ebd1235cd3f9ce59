"""Starts of other processes: without secrets, and without code of the current directory."""

import os
import subprocess
import sys

import pytest

from hpc_remetrics import programs
from hpc_remetrics.programs import command_line, environment, module_path, python


def test_secrets_are_not_passed_on():
    assert environment({"A": "1", "REMETRICS_PASSWORD": "x", "DOCKER_AUTH_CONFIG": "y"}) == {
        "A": "1"
    }


def test_code_runs_with_these_modules_and_none_of_the_current_directory(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('taken')")
    code = "import json, sys, hpc_remetrics; print(json.dumps(sys.argv[1:]))"
    command = python(code, 1, "b c")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == '["1", "b c"]\n'
    assert command[:2] == [sys.executable, "-I"]


def test_no_bytecode_is_written_where_this_process_writes_none(monkeypatch):
    for flag in (True, False):
        monkeypatch.setattr(sys, "dont_write_bytecode", flag)
        assert ("-B" in python("")) is flag


def test_the_current_directory_is_searched_only_if_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, package = str(tmp_path), programs._PACKAGE
    monkeypatch.setattr(sys, "path", ["", here, "/lib"])
    assert module_path({}) == ["/lib", package]
    assert module_path({"PYTHONPATH": os.pathsep.join(["", "/x"])}) == ["/lib", package]
    assert module_path({"PYTHONPATH": here}) == [here, "/lib", package]
    monkeypatch.setattr(sys, "path", ["/lib", package])
    assert module_path({}) == ["/lib", package]


def test_of_a_tool_that_was_run_a_digest_is_kept():
    digest = "sha256:8ce658b4ffae"
    assert command_line(["a", "--exec", "scan {dir}", "b"]) == f"a --exec {digest} b"
    assert command_line(["a", "--exec=scan {dir}", "b=c"]) == f"a --exec={digest} b=c"
    assert command_line(["a", "--exec-x=1", "--exec"]) == "a --exec-x=1 --exec"


def test_a_name_with_blanks_and_parentheses_does_not_move_the_fields(tmp_path):
    odd = tmp_path / "a) (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "30"]) as process:
        try:
            name, fields = programs.process_stat(process.pid)
        finally:
            process.kill()
    assert name == "a) (b"
    assert int(fields[1]) == os.getpid()


def test_a_process_that_is_gone_has_no_fields():
    with pytest.raises(OSError, match="No such"):
        programs.process_stat(2**22 + 1)
