"""The networks of MicroNet's steps, each made by the real commands where it isn't there yet.

A network is named by its steps, a tuple in the order of STEPS; the plain one has none. What is trained from scratch has
a run directory of its own (`adaptive+cache`), in which lies what hat-compress and hat-cache make of it, too
(`adaptive+cache-2x-cache500`).
"""

from dataclasses import replace

from kill_and_resume import command
from side_by_side import CommandFailedError, run_side_by_side, seconds_of

from hat import files
from hat.config import read_yaml_mapping
from hat.errors import UsageError
from hat.experiment.config import with_max_update
from hat.experiment.language_modeling import HebbianConfig, LanguageDistillationConfig
from hat.experiment.run_directory import RunDirectory

STEPS = ("adaptive", "cache", "hebbian", "cache search", "distilled", "pruned", "quantised")
TRAINED = ("adaptive", "cache", "hebbian", "distilled")  # from scratch
PLAIN = "plain"
CACHE_STATES = 500  # of a cache that is trained, where the config has none
COMPRESSION_SHARE = 0.4  # of a training's updates


def training_of(steps):
    """The name of what is trained from scratch for a network with these steps, and of its run directory."""
    return "+".join(step for step in TRAINED if step in steps) or PLAIN


def config_of(config, steps, updates):
    """A LanguageExperiment for these steps alone: what `config` says of them, or their defaults."""
    model, space, training = config.model, config.search_space, with_max_update(config.sub_training, updates)
    if "adaptive" not in steps:
        model = replace(model, cutoffs=(), bin_dims=())
        space = replace(space, decoder=replace(space.decoder, bin_dims=()))
    hebbian, distillation = None, None
    if "hebbian" in steps:
        hebbian = training.hebbian or HebbianConfig()
    if "distilled" in steps:
        distillation = replace(training.distillation or LanguageDistillationConfig(), teachers=(PLAIN,))
    return replace(
        config,
        search_space=space,
        model=replace(model, cache=(model.cache or CACHE_STATES) if "cache" in steps else 0),
        sub_training=replace(training, hebbian=hebbian, distillation=distillation),
        compression=with_max_update(config.compressing, round(COMPRESSION_SHARE * updates)),
    )


class Networks:
    """Those in `folder`, by a LanguageExperiment `config` of which every training takes `updates`.

    The plain network has the Architecture `plain`, all others `smaller`. A cache that is searched for has so many
    `states`, pruning leaves 1 / `rate` of the weights, in `bits`.
    """

    def __init__(self, folder, config, updates, plain, smaller, states, rate, bits):
        self._folder, self._config, self._updates = folder, config, updates
        self._plain, self._smaller = plain, smaller
        self._states, self._rate, self._bits = states, rate, bits

    def prepare(self, source_directory):
        """Prepare the text, which all share; a named corpus is read from `source_directory`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        source = [] if source_directory is None else ["--from", source_directory]
        words = command("hat-prepare", self._kept_config(()), "--run", self._folder / PLAIN, *source)
        run_side_by_side(self._folder, {"data": words})

    def train(self, *networks):
        """Train what isn't trained yet for networks, given by their steps, that don't depend on each other."""
        for steps in networks:
            self._lay_run(steps)
        commands = {training_of(steps): next(iter(self.commands(steps).values())) for steps in networks}
        run_side_by_side(
            self._folder, {name: words for name, words in commands.items() if not self._is_there(name, name)}
        )

    def finished(self, steps):
        """(RunDirectory, name) of a network, which is made if it isn't there.

        Where no cache helps, a search for one leaves the network as it is.
        """
        self.train(steps)
        training, found = training_of(steps), None
        for name, words in self.commands(steps).items():
            try:
                if not self._is_there(training, name):
                    run_side_by_side(self._folder, {name: words})
            except CommandFailedError as error:
                if "no cache of" not in str(error):
                    raise
                print(error, flush=True)
                break
            found = name
        return RunDirectory(self._folder / training), found

    def commands(self, steps):
        """{name: command} of a network and of all that it is made from, in that order."""
        name = training_of(steps)
        run = ["--run", self._folder / name]
        architecture = self._folder / f"{name}.architecture.yaml"
        made = {name: command("hat-train-sub", "--architecture", architecture, "--name", name, *run)}
        if "pruned" in steps:
            dense, name = name, f"{name}-{self._rate:g}x"
            made[name] = command("hat-compress", dense, "--rate", self._rate, "--name", name, *run)
        if "quantised" in steps:
            exact, name = name, f"{name}-{self._bits}bit"
            made[name] = command("hat-compress", exact, "--bits", self._bits, "--name", name, *run)
        if "cache search" in steps:
            without, name = name, f"{name}-cache{self._states}"
            made[name] = command("hat-cache", without, "--states", self._states, "--name", name, *run)
        return made

    def seconds(self, steps):
        """{name: seconds that it took} of a network and of all that it is made from."""
        taken = seconds_of(self._folder)
        return {name: taken.get(name, 0.0) for name in self.commands(steps)}

    def _is_there(self, training, name):
        return (self._folder / training / "sub" / name / "done.json").exists()

    def _lay_run(self, steps):
        """A run directory with the steps' config, the plain one's data and, to be taught by it, its network."""
        name = training_of(steps)
        architecture = self._smaller if name != PLAIN else self._plain
        self._keep(self._folder / f"{name}.architecture.yaml", architecture.to_dict())
        run = RunDirectory.create(self._kept_config(steps), self._folder / name)
        if name != PLAIN:
            _link(run.data, "../plain/data")
            if "distilled" in steps:
                _link(run.sub(PLAIN), "../../plain/sub/plain")

    def _kept_config(self, steps):
        """The path of the config file for what is trained with these steps."""
        path = self._folder / f"{training_of(steps)}.yaml"
        self._keep(path, config_of(self._config, steps, self._updates).to_dict())
        return path

    def _keep(self, path, mapping):
        if path.exists() and read_yaml_mapping(path) != mapping:
            raise UsageError(f"--run {self._folder}: {path.name} in it is of other options; name another folder")
        files.write_yaml(path, mapping)


def _link(path, target):
    path.parent.mkdir(exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(target)
