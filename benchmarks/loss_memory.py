"""What the fused loss of a training takes: memory and processor time on a CPU, beside torch's own.

    python benchmarks/loss_memory.py --tokens 4096 --vocabulary 40000 --dim 512

Each loss computes forward and backward in a process of its own, on one thread: ours, and torch's cross entropy of the
product of features and table, which is what fairseq's own criterion comes to. Printed are the peak of the process's
memory above what it held before, in MB of 10^6 bytes, gradients included, and the processor's seconds.
"""

import multiprocessing
import resource
import time

from hat.cli.common import ArgumentParser, positive_int, run_command

SMOOTHING = 0.1


def ours(features, table, target):
    from hat.fairseq_plugin.criterion import SmoothedLoss

    return SmoothedLoss.apply(features, table, target, SMOOTHING, True)[0]


def torchs(features, table, target):
    from torch.nn.functional import cross_entropy

    return cross_entropy(features @ table.t(), target, reduction="sum", label_smoothing=SMOOTHING)


LOSSES = {"fused": ours, "torch": torchs}


def measure(name, tokens, vocabulary, dim):
    """(MB, seconds) of one forward and backward pass."""
    import torch

    torch.set_num_threads(1)

    def inputs(tokens, vocabulary):
        features = torch.randn(tokens, dim, requires_grad=True)
        table = torch.randn(vocabulary, dim).mul_(dim**-0.5).requires_grad_()  # in place: no peak before the loss
        return features, table, torch.randint(vocabulary, (tokens,))

    LOSSES[name](*inputs(2, 3)).backward()  # imports and loads what is needed
    case = inputs(tokens, vocabulary)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    LOSSES[name](*case).backward()
    seconds = time.process_time() - began
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6, seconds


def main():
    parser = ArgumentParser("Memory and processor time of the fused loss beside torch's.")
    for name, default in (("tokens", 4096), ("vocabulary", 40000), ("dim", 512)):
        parser.add_argument(f"--{name}", type=positive_int, default=default, help=f"size of the case: {name}")
    run_command(parser, _measure_all)


def _measure_all(options):
    for name in LOSSES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            megabytes, seconds = pool.apply(measure, (name, options.tokens, options.vocabulary, options.dim))
        print(f"{name}: {megabytes:,.0f} MB, {seconds:.1f} s")


if __name__ == "__main__":
    main()
