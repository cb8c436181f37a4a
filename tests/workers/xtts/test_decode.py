"""Rows decoded together come out as each alone, and as upstream's own code makes them."""

from typing import Any

import pytest
import torch

from workers.xtts.decode import Decoder, Row
from workers.xtts.sample import GREEDY, Sampling
from workers.xtts.vocode import Part, Vocoder
from workers.xtts.weights import Gpt, NoWeights, Speaker, load

Latents = dict[int, torch.Tensor]
CPU = torch.device("cpu")


def decode(gpt: Gpt, rows: list[Row], how: Sampling, *, every: int = 0) -> Latents:
    """Latents of each row by its seed; `every`: one more row joins after each `every` steps."""
    decoder, waiting, made, steps = Decoder(gpt, rows_max=len(rows), how=how), list(rows), Latents(), 0
    while waiting or decoder.rows:
        if waiting and steps % (every or 1) == 0:
            decoder.join([waiting.pop(0) for _ in range(1 if every else len(waiting))])
        decoder.step()
        steps += 1
        for row in [row for row in decoder.rows if row.over]:
            made[row.seed] = decoder.latents(row)
            decoder.leave(row)
    return made


def fresh(row: Row) -> Row:
    return Row(row.text, row.voice, row.cap, row.seed)


def upstream(model: Any, row: Row, speaker: Speaker) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """Tokens, latents and wave of the library's own inference, without its random numbers."""
    model.gpt.max_gen_mel_tokens = row.cap
    kept: dict[str, torch.Tensor] = {}
    generate = model.gpt.generate
    model.gpt.generate = lambda **given: kept.setdefault("tokens", generate(**given))
    try:
        out = model.inference("-", "en", speaker.latents, speaker.embedding, do_sample=False)
    finally:
        del model.gpt.generate
    return kept["tokens"][0].tolist(), torch.from_numpy(out["gpt_latents"])[0], torch.from_numpy(out["wav"])


@pytest.fixture
def spoken_upstream(
    model: Any, rows: list[Row], speakers: dict[str, Speaker], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[list[int], torch.Tensor, torch.Tensor]]:
    made = []
    for n, row in enumerate(rows):
        monkeypatch.setattr(model.tokenizer, "encode", lambda *_, row=row, **__: list(row.text))
        made.append(upstream(model, row, list(speakers.values())[n % 2]))
    return made


def test_eight_texts_in_one_batch_are_upstreams_to_the_token_and_to_the_wave(
    model: Any, gpt: Gpt, rows: list[Row], speakers: dict[str, Speaker], spoken_upstream: list[Any]
) -> None:
    latents = decode(gpt, rows, GREEDY)
    tokens = [row.tokens for row in rows]
    assert tokens == [made[0] for made in spoken_upstream]
    assert len({tuple(row) for row in tokens}) == 8  # or the texts would not matter
    assert any(row.ended for row in rows)
    assert max(float((latents[n] - made[1]).abs().max()) for n, made in enumerate(spoken_upstream)) < 1e-5
    vocoder = Vocoder(model, device=CPU, batched=True)
    parts = [
        Part(latents[n], list(speakers.values())[n % 2].embedding, 0, vocoder.frames(len(latents[n])))
        for n in range(8)
    ]
    waves = vocoder.waves(parts)
    assert [len(wave) for wave in waves] == [len(made[2]) for made in spoken_upstream]
    assert max(float((a - b[2]).abs().max()) for a, b in zip(waves, spoken_upstream, strict=True)) < 1e-5


def test_a_sampled_row_is_the_same_alone_and_in_company(gpt: Gpt, rows: list[Row]) -> None:
    decode(gpt, rows, Sampling())
    alone = [fresh(row) for row in rows]
    for row in alone:
        decode(gpt, [row], Sampling())
    assert [row.tokens for row in rows] == [row.tokens for row in alone]


def test_rows_that_join_a_running_batch_are_the_same(gpt: Gpt, rows: list[Row]) -> None:
    later = [fresh(row) for row in rows]
    latents, joined = decode(gpt, rows, Sampling()), decode(gpt, later, Sampling(), every=3)
    assert [row.tokens for row in rows] == [row.tokens for row in later]
    assert all(torch.allclose(latents[n], joined[n], atol=1e-5) for n in latents)


def test_a_row_that_leaves_early_does_not_change_the_others(gpt: Gpt, rows: list[Row]) -> None:
    decoder, whole = Decoder(gpt, rows_max=8, how=GREEDY), [fresh(row) for row in rows]
    decode(gpt, whole, GREEDY)
    decoder.join(rows[:3])
    decoder.step()
    decoder.join(rows[3:])
    decoder.leave(rows[4])  # before its first step
    decoder.leave(rows[0])
    while decoder.rows:
        decoder.step()
        for row in [row for row in decoder.rows if row.over]:
            decoder.leave(row)
    assert [row.tokens for n, row in enumerate(rows) if n not in (0, 4)] == [
        row.tokens for n, row in enumerate(whole) if n not in (0, 4)
    ]


def test_another_seed_gives_other_audio(gpt: Gpt, rows: list[Row]) -> None:
    other = Row(rows[1].text, rows[1].voice, rows[1].cap, seed=99)
    decode(gpt, [rows[1], other], Sampling())
    assert rows[1].tokens != other.tokens


def test_a_folder_without_weights_names_what_is_missing(tmp_path: Any) -> None:
    with pytest.raises(NoWeights, match=r"no config.json, model.pth, vocab.json, speakers_xtts.pth"):
        load(tmp_path)
