"""Files of earlier versions, which knew encoders and decoders alone, still count."""

import dataclasses

import pytest
from latency_runs import SERIES, made_up_sample, make_run

from hat.errors import ArtifactError
from hat.files import append_json_line, write_json
from latency_predictor.sampling.parts import Parts, read_parts
from latency_predictor.sampling.sample import read_samples


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path)


def as_lately(row):
    """The row of a sample as it was when every protocol was a translator's."""
    of = row["protocol"].pop("workload")
    if "labels" in of:
        of = {"beam": 1, "source_vocabulary": of["vocabulary"], "target_vocabulary": of["labels"]}
    return row | {"protocol": row["protocol"] | of}


def as_before(row):
    """The row of a sample as it was when there were encoders and decoders alone."""
    row = as_lately(row)
    lengths = row["protocol"].pop("lengths")
    nothing = [0] * len(lengths["encode"])
    row["protocol"] |= {"source_lengths": lengths["encode"], "target_steps": lengths.get("decode", nothing)}
    row["lengths"] = [
        {
            "source_length": at["lengths"]["encode"],
            "target_steps": at["lengths"].get("decode", 0),
            "encoder_ms": at["phases_ms"]["encode"],
            "decoder_ms": at["phases_ms"].get("decode"),
            "total_ms": at["total_ms"],
        }
        for at in row["lengths"]
    ]
    return row


def one_phase(sample):
    """As a classifier's sample is."""
    lengths = {"encode": sample.protocol.lengths["encode"]}
    protocol = dataclasses.replace(sample.protocol, lengths=lengths, workload={"vocabulary": 240, "labels": 3})
    (at,) = sample.lengths
    only = dataclasses.replace(at, lengths={"encode": at.lengths["encode"]}, phases_ms={"encode": at.total_ms})
    return dataclasses.replace(sample, protocol=protocol, lengths=(only,))


@pytest.mark.parametrize("written", [as_before, as_lately])
@pytest.mark.parametrize("kind", [lambda sample: sample, one_phase], ids=["translator", "classifier"])
def test_samples_of_encoders_and_decoders_are_still_read(run, kind, written):
    sample = kind(made_up_sample(run, run.config.search_space.largest(), 12.5))
    path = run.latency / "cpu.jsonl"
    append_json_line(path, written(sample.to_dict()))
    assert read_samples(path, run.config.search_space, sample.protocol) == [sample]


def test_an_old_sample_that_is_damaged_is_named(run):
    row = as_before(made_up_sample(run, run.config.search_space.largest(), 12.5).to_dict())
    del row["lengths"][0]["decoder_ms"]
    append_json_line(run.latency / "cpu.jsonl", row)
    with pytest.raises(ArtifactError, match=r"line 1: .*phases_ms\.decode.*remove that line"):
        read_samples(run.latency / "cpu.jsonl", run.config.search_space)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda row: row.update(lengths=[3]), "lengths"),
        (lambda row: row.update(lengths=None), "lengths"),
        (lambda row: row["protocol"].update(source_lengths=4), r"protocol\.lengths\.encode"),
        (lambda row: row["protocol"].update(target_steps=7), r"protocol\.lengths\.decode"),
    ],
)
def test_old_samples_that_are_no_samples_are_named_in_a_line(run, damage, named):
    row = as_before(made_up_sample(run, run.config.search_space.largest(), 12.5).to_dict())
    damage(row)
    append_json_line(run.latency / "cpu.jsonl", row)
    with pytest.raises(ArtifactError, match=rf"line 1: {named}: expected .*remove that line"):
        read_samples(run.latency / "cpu.jsonl", run.config.search_space)


def test_a_late_row_whose_lengths_are_damaged_is_named_in_a_line(run):
    row = as_lately(made_up_sample(run, run.config.search_space.largest(), 12.5).to_dict())
    row["protocol"]["lengths"] = 4
    append_json_line(run.latency / "cpu.jsonl", row)
    with pytest.raises(ArtifactError, match=r"line 1: .*protocol.*remove that line"):
        read_samples(run.latency / "cpu.jsonl", run.config.search_space)


def test_parts_of_encoders_and_decoders_are_still_read(tmp_path):
    row = {"name": "smallest", "encoder_ms": 0.5, "decoder_ms": 2.0, "output_ms": 0.25}
    row |= {"target_steps": [11, 17], "total_ms": [2.0, 2.75]}
    write_json(tmp_path / "cpu.parts.json", {"series": SERIES, "parts": [row]})
    expected = Parts("smallest", {"encode": 0.5, "decode": 2.0}, 0.25, (11, 17), (2.0, 2.75))
    assert read_parts(tmp_path / "cpu.parts.json", SERIES) == [expected]
