"""Device files: what goes in comes out, and what is damaged, foreign, of another version or in use is refused in words."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isa.chip import load_chip
from isa.device_file import create_device, open_device
from isa.errors import DeviceFault
from isa.rram_state import FLIP, STUCK_1, WHOLE_ROW, PlacedTensor, Resident, RramState


def lived_in() -> RramState:
    state = RramState(load_chip("tiny"), 5, "typical", 1e6, 2e6, 12)
    rows = np.arange(3, 9)
    state.slice("rram.w1").wear[rows] = 7
    state.hold("rram.w1", rows, np.arange(48, dtype=np.uint8).reshape(6, 8))
    state.slice("rram.w1").corrected[1] = 9
    state.slice("rram.w1").bad[4] = True
    state.spares["rram.w1", 4] = 32
    state.slice("rram.w0")
    state.faults = {("rram.w0", 3, 9): FLIP, ("rram.w1", 0, WHOLE_ROW): STUCK_1}
    state.residents = [Resident("p.lbin", "0" * 64, 6, (("rram.w1", 3, 9),))]
    state.tensors = {"ab": PlacedTensor((("rram.w1", 3, 6, 0, 0, 0, 1, 1),))}
    return state


def everything(state: RramState) -> tuple[object, ...]:
    arrays = {unit: [a.tobytes() for a in dataclasses.astuple(part)] for unit, part in state.slices.items()}
    plain = (state.chip.digest, state.seed, state.corner, state.clock_s, state.elapsed_s, state.runs)
    return (*plain, arrays, state.spares, state.faults, state.residents, state.tensors)


def write(path: Path) -> RramState:
    state = lived_in()
    create_device(path, RramState(state.chip, 1))
    with open_device(path) as file:
        file.state = state
        file.save({"rram.w1": np.arange(3, 9)}, {"rram.w1": np.arange(34), "rram.w0": np.array([3])})
    return state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = write(tmp_path / "d.dev")
    with open_device(tmp_path / "d.dev") as file:
        assert everything(file.state) == everything(state)


def test_what_is_not_saved_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "d.dev")
    with open_device(tmp_path / "d.dev") as file:
        file.state.runs = 99
        file.state.slice("rram.w1").words[3] = 0
    with open_device(tmp_path / "d.dev") as file:
        assert everything(file.state) == everything(lived_in())


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.dev")
    write(tmp_path / "b.dev")
    assert (tmp_path / "a.dev").read_bytes() == (tmp_path / "b.dev").read_bytes()


def test_a_new_device_takes_no_other_file_s_place(tmp_path: Path) -> None:
    (tmp_path / "d.dev").write_text("mine")
    with pytest.raises(DeviceFault, match="something of that name already"):
        create_device(tmp_path / "d.dev", lived_in())
    assert os.listdir(tmp_path) == ["d.dev"]
    assert (tmp_path / "d.dev").read_text() == "mine"


def refused(path: Path) -> str:
    """The message; the file must not have changed, and nothing may lie beside it."""
    before = path.read_bytes()
    with pytest.raises(DeviceFault) as caught, open_device(path):
        pass
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    return caught.value.render()


@pytest.mark.parametrize("length", [0, 50, 99, 100, 4000, 4096, 8192, -4096, -1])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "d.dev"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[:length])
    assert "damaged" in refused(path)
    path.write_bytes(data + bytes(4096))
    assert "damaged" in refused(path)


def test_files_of_other_kinds_and_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.dev"
    path.write_text("x" * 300)
    assert "not a Lockstep device file" in refused(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    assert "not a Lockstep device file" in refused(path)
    for version, words in ((2, "a newer Lockstep"), (0, "no Lockstep writes this format")):
        path.unlink()
        write(path)
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        assert words in refused(path)
    path.unlink()
    with pytest.raises(DeviceFault, match="no such device file"), open_device(path):
        pass


HOLD = """
import sys, time
from pathlib import Path
from isa.device_file import open_device
with open_device(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_device_in_use_is_refused_and_a_killed_process_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "d.dev"
    write(path)
    with open_device(path), pytest.raises(DeviceFault, match="in use"), open_device(path):
        pass
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert "in use by another process" in refused(path)
        other.kill()
    with open_device(path) as file:
        assert everything(file.state) == everything(lived_in())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"seed":5', '"seed":"5"', "seed"),
        ('"clock_s":1000000.0', '"clock_s":-1.0', "clock_s"),
        ('["rram.w1",4,32]', '["rram.w1",4,33]', "cannot stand in"),
        ('["rram.w1",4,32]', '["rram.e9",4,32]', "no RRAM slice 'rram.e9'"),
        ('["rram.w0",3,9,0]', '["rram.w0",3,80,0]', "no cell 80"),
        ('"lanes":8', '"lanes":16', ""),
        ("{", "[", ""),
    ],
)
def test_edited_records_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    from isa.device_file import _sum

    path = tmp_path / "d.dev"
    write(path)
    connection = sqlite3.connect(path)
    (body,) = connection.execute("SELECT body FROM record").fetchone()
    assert old.encode() in body
    changed = body.replace(old.encode(), new.encode())
    connection.execute("UPDATE record SET body = ?", (changed,))
    connection.commit()
    assert "checksum" in refused(path)
    connection.execute("UPDATE record SET sha256 = ?", (_sum("device", body=changed),))
    connection.commit()
    connection.close()
    assert words in refused(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_refused_or_the_same(tmp_path: Path, data: st.DataObject) -> None:
    path, whole = tmp_path / "d.dev", tmp_path / "whole" / "d.dev"
    if not whole.exists():
        whole.parent.mkdir()
        write(whole)
    octets = bytearray(whole.read_bytes())
    used = [i for i in range(len(octets)) if octets[i]]
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.sampled_from(used) | st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(octets)
    try:
        with open_device(path) as file:
            held = everything(file.state)
    except DeviceFault:
        return
    assert held == everything(lived_in())
