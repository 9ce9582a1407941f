"""Seconds per update of our training over those of a plain fairseq `transformer` of the same full size.

Same machine, same time, same batches: each contestant is a process of its own on one thread, and they take turns,
one update each, so that whatever else the machine does falls on all of them. Run by hand:

    python benchmarks/training_speed.py --updates 40 --json speed.json
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import yaml

VOCABULARY = 8000
SENTENCES = 4000
MAX_TOKENS = 4096
SPACE = {
    "qkv_dim": 256,
    "encoder": {"embed_dim": [256, 192], "layers": [3], "ffn_dim": [1024, 512], "self_attention_heads": [4, 2]},
    "decoder": {
        "embed_dim": [256, 192],
        "layers": [3, 2, 1],
        "ffn_dim": [1024, 512],
        "self_attention_heads": [4, 2],
        "cross_attention_heads": [4, 2],
        "cross_attention_span": [1, 2, 3],
    },
}
FAIRSEQ = "fairseq transformer"
SHARED = f"--source-lang de --target-lang en --label-smoothing 0.1 --lr 0.001 --max-tokens {MAX_TOKENS} --cpu".split()
PLAIN_MODEL = (
    "--arch transformer --encoder-embed-dim 256 --encoder-ffn-embed-dim 1024 --encoder-layers 3 "
    "--encoder-attention-heads 4 --decoder-embed-dim 256 --decoder-ffn-embed-dim 1024 --decoder-layers 3 "
    "--decoder-attention-heads 4 --share-all-embeddings --dropout 0.1"
)


def largest_only(space, spans):
    """The search space with nothing but its largest choices, and these cross_attention_span choices."""
    narrowed = {
        name: {field: [max(choices)] for field, choices in space[name].items()} for name in ("encoder", "decoder")
    }
    narrowed["decoder"]["cross_attention_span"] = spans
    return {"qkv_dim": space["qkv_dim"], **narrowed}


CONTESTANTS = {  # name -> None or (space, strategy)
    FAIRSEQ: None,
    "SuperTransformer, uniform": (SPACE, "uniform"),
    "SuperTransformer, sandwich": (SPACE, "sandwich"),
    "SuperTransformer, largest (attends to 3 encoder layers)": (largest_only(SPACE, [3]), "uniform"),
    "SuperTransformer, full-size Transformer (attends to 1)": (largest_only(SPACE, [1]), "uniform"),
}


def fairseq_arguments(folder, trained, bf16):
    """fairseq-train's arguments for one contestant; writes the experiment config that ours read."""
    if trained is None:
        plain = "--task translation --criterion label_smoothed_cross_entropy --optimizer adam"
        return [str(folder), *SHARED, *plain.split(), *PLAIN_MODEL.split()]
    space, strategy = trained
    training = {"max_update": 1000, "warmup_updates": 1, "lr": 0.001}
    config = {
        "data": {"corpus": "files", "source_lang": "de", "target_lang": "en"},
        "model": {"dropout": 0.1},
        "search_space": space,
        "super_training": {**training, "strategy": strategy},
        "sub_training": training,
    }
    path = Path(folder) / f"{abs(hash(str(trained)))}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    ours = f"--task hat_translation --hat-config {path} --criterion hat_label_smoothed_cross_entropy"
    model = ["--optimizer", "hat_adam", "--arch", "hat_supertransformer"] + (["--autocast-bf16"] if bf16 else [])
    return [str(folder), *SHARED, *ours.split(), *model]


def make_batches(dictionary):
    """fairseq samples of random sentences of 4 to 40 tokens, the same in every process."""
    import numpy as np
    import torch
    from fairseq.data import LanguagePairDataset

    rng = np.random.default_rng(1)

    def sentences(lengths):
        return [torch.tensor([*rng.integers(4, len(dictionary), length - 1), 2]) for length in lengths]

    lengths = rng.integers(4, 41, SENTENCES)
    other = np.clip(lengths + rng.integers(-3, 4, SENTENCES), 3, 42)
    dataset = LanguagePairDataset(
        sentences(lengths), lengths, dictionary, sentences(other), other, dictionary, shuffle=False
    )
    batches = [
        dataset.collater([dataset[index] for index in batch])
        for batch in dataset.batch_by_size(dataset.ordered_indices(), max_tokens=MAX_TOKENS)
    ]
    rng.shuffle(batches)
    return batches


def contestant(connection, arguments, ours):
    """A process that does one update, and answers with its (wall, CPU) seconds, whenever it is sent a number."""
    import torch

    from hat.fairseq_plugin.mends import quiet
    from hat.fairseq_plugin.trainer import parse
    from hat.training.memory import keep_freed_memory

    torch.set_num_threads(1)
    if ours:
        keep_freed_memory()
    from fairseq import tasks
    from fairseq.trainer import Trainer

    with quiet():
        cfg = parse(arguments)
        task = tasks.setup_task(cfg.task)
        trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
        batches = make_batches(task.source_dictionary)
    connection.send(sum(parameter.numel() for parameter in trainer.model.parameters()))
    for number in iter(connection.recv, None):
        start, cpu_start = time.perf_counter(), time.process_time()
        trainer.train_step([batches[number % len(batches)]])
        connection.send((time.perf_counter() - start, time.process_time() - cpu_start))


def measure(updates, warmup, bf16):
    """Contestant -> (parameters, [(wall seconds, CPU seconds) of each update])"""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for lang in ("de", "en"):
            Path(folder, f"dict.{lang}.txt").write_text("".join(f"w{index} 1\n" for index in range(4, VOCABULARY)))
        connections = {}
        for name, trained in CONTESTANTS.items():
            connections[name], theirs = context.Pipe()
            arguments = fairseq_arguments(folder, trained, bf16)
            context.Process(target=contestant, args=(theirs, arguments, trained is not None), daemon=True).start()
        measured = {name: (connection.recv(), []) for name, connection in connections.items()}
        for number in range(warmup + updates):
            for name, connection in connections.items():
                connection.send(number)
                seconds = connection.recv()
                if number >= warmup:
                    measured[name][1].append(seconds)
        for connection in connections.values():
            connection.send(None)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="ours with --bf16; fairseq has only float32 on CPUs")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    measured = measure(options.updates, options.warmup, options.bf16)
    rows = {name: summary(parameters, seconds) for name, (parameters, seconds) in measured.items()}
    for name, row in rows.items():
        row["ratio"], row["cpu_ratio"] = (row[key] / rows[FAIRSEQ][key] for key in ("seconds", "cpu_seconds"))
        print(f"{row['ratio']:.2f} (CPU time {row['cpu_ratio']:.2f})  {row['seconds']:.3f} s an update  {name}")
    if options.json:
        result = {"updates": options.updates, "precision": "bf16" if options.bf16 else "fp32", "contestants": rows}
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def summary(parameters, seconds):
    """Mean wall and CPU seconds of an update; the latter tells the same on a machine that is busy otherwise."""
    wall, cpu = (statistics.mean(column) for column in zip(*seconds, strict=True))
    return {"parameters": parameters, "seconds": wall, "cpu_seconds": cpu}


if __name__ == "__main__":
    main()
