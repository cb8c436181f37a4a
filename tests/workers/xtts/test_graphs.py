"""Steps replayed from recordings, as from CUDA graphs: which is chosen, and that padding changes nothing."""

import pytest
import torch

from workers.xtts.decode import Decoder, Row
from workers.xtts.graphs import Graphs, Work
from workers.xtts.prefix import Voice
from workers.xtts.sample import GREEDY, Sampling
from workers.xtts.weights import Gpt

from .recorder import Recorder


class Noted:
    """A `Capture` that only notes what was captured and what was replayed."""

    def __init__(self) -> None:
        self.ran: list[tuple[int, int]] = []
        self.captured: list[tuple[int, int]] = []
        self.replayed: list[tuple[int, int]] = []

    def run(self, rows: int, span: int) -> None:
        self.ran.append((rows, span))

    def __call__(self, work: Work) -> Work:
        work()
        what = self.ran[-1]
        self.captured.append(what)
        return lambda: self.replayed.append(what)


@pytest.mark.parametrize(
    ("rows", "span", "chosen"),
    [
        (1, 40, (1, 256)),
        (2, 256, (2, 256)),
        (3, 257, (4, 512)),
        (5, 512, (8, 512)),
        (9, 700, (16, 768)),
        (17, 769, (24, 1056)),
        (24, 1056, (24, 1056)),
    ],
)
def test_a_step_replays_the_least_graph_that_has_room_for_it(
    rows: int, span: int, chosen: tuple[int, int]
) -> None:
    noted = Noted()
    Graphs(noted.run, 24, 1056, noted).run(rows, span)
    assert noted.replayed == [chosen]


def test_each_graph_is_captured_once_the_largest_first_and_none_while_steps_run() -> None:
    noted = Noted()
    graphs = Graphs(noted.run, 3, 600, noted)
    wanted = [(rows, span) for rows in (3, 2, 1) for span in (600, 512, 256)]
    for rows, span in wanted * 2:
        graphs.run(rows, span)
    assert noted.captured == noted.ran == wanted
    assert noted.replayed == wanted * 2


def decoded(gpt: Gpt, rows: list[Row], how: Sampling, capture: Recorder | None) -> dict[int, torch.Tensor]:
    """Latents of each row by its seed; a row joins every second step, and leaves when it is over."""
    decoder, waiting, made, steps = Decoder(gpt, rows_max=8, how=how, capture=capture), list(rows), {}, 0
    while waiting or decoder.rows:
        if waiting and steps % 2 == 0:
            decoder.join([waiting.pop(0)])
        decoder.step()
        steps += 1
        for row in [row for row in decoder.rows if row.over]:
            made[row.seed] = decoder.latents(row)
            decoder.leave(row)
    return made


@pytest.mark.parametrize("how", [GREEDY, Sampling()], ids=["greedy", "sampled"])
def test_rows_replayed_from_recordings_with_padding_are_as_without(
    gpt: Gpt, rows: list[Row], how: Sampling
) -> None:
    recorder, bare = Recorder(), [Row(row.text, row.voice, row.cap, row.seed) for row in rows]
    latents, wanted = decoded(gpt, rows, how, recorder), decoded(gpt, bare, how, None)
    assert [row.tokens for row in rows] == [row.tokens for row in bare]
    assert all(torch.allclose(latents[n], wanted[n], atol=1e-5) for n in wanted)
    assert recorder.recorded == 4 * 4  # 1, 2, 4, 8 rows; 256, 512, 768 and all slots
    assert len(set(recorder.replayed)) > 2  # so there was padding: between one number of rows and the next


def test_places_without_a_row_are_left_as_they_were(gpt: Gpt, voices: list[Voice]) -> None:
    decoder = Decoder(gpt, rows_max=8, how=Sampling(), capture=Recorder())
    rows = [Row((5, 6, 7, n), voices[0], cap=30, seed=n) for n in range(5)]
    decoder.join(rows)
    for _ in range(3):
        decoder.step()  # of 8 rows, 3 of them padding
    state = decoder._state
    assert (state.alive.tolist(), state.step.tolist()) == ([1] * 5 + [0] * 3, [3] * 5 + [0] * 3)
    assert state.slots[5:].tolist() == state.token[5:].tolist() == [0, 0, 0]


def test_a_row_of_many_slots_is_replayed_with_a_longer_span(gpt: Gpt, voices: list[Voice]) -> None:
    recorder = Recorder()
    decoder = Decoder(gpt, rows_max=1, how=GREEDY, capture=recorder)
    decoder.join([Row([5, 6] * 111, voices[0], cap=30)])  # 32 of the voice, 224 of the text
    assert decoder.rows[0].slots == 256
    decoder.step()
    decoder.leave(decoder.rows[0])
    decoder.join([Row([5, 6] * 110 + [5], voices[0], cap=30)])
    decoder.step()
    spans = [decoder._slots, 768, 512, 256]
    assert [spans[number] for number in recorder.replayed] == [512, 256]
