"""The task translation: parallel text, an encoder and a decoder, beam search."""

from hat.tasks.task import Task

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "cs": "Czech"}


class Translation(Task):
    name, item = "translation", "token"
    length_keys = ("latency.source_length", "latency.target_steps")
    command, decodes, answers = "hat-translate", True, "translations"
    super_model, sub_model = "hat_supertransformer", "hat_transformer"

    def title(self, config):
        languages = config.data.source_lang, config.data.target_lang
        return " to ".join(LANGUAGES.get(code, code) for code in languages)

    def prepare(self, run, source_directory=None):
        from hat.data.translation.prepare import prepare

        prepare(run, source_directory)

    def prepared(self, directory):
        from hat.data.translation.prepared import PreparedData

        return PreparedData(directory)

    def spec(self, config, prepared):
        return config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)

    def announced_spec(self, config):
        size = config.latency.vocabulary_size or config.data.vocabulary_size
        return config.model_spec(size, size)

    def vocabularies(self, spec):
        return {"source": spec.source_vocabulary, "target": spec.target_vocabulary}

    def training_arguments(self, prepared, training):
        return {
            "task": "hat_translation",
            "source-lang": prepared.source_lang,
            "target-lang": prepared.target_lang,
            "criterion": "hat_label_smoothed_cross_entropy",
            "label-smoothing": training.label_smoothing,
        }

    @property
    def spec_class(self):
        from hat.models.translation_spec import ModelSpec

        return ModelSpec

    def judge(self, run):
        from hat.evaluation.translation.judge import TranslationJudge

        return TranslationJudge(run)

    def fixed_lengths(self, config):
        latency = config.latency
        return None if latency.source_length is None else (latency.source_length, latency.target_steps)

    def corpus_lengths(self, prepared, split):
        from hat.data.tokenizer import Tokenizer

        languages = (prepared.source_lang, prepared.target_lang)
        encoded = (
            Tokenizer(prepared.sentencepiece(lang)).encode(lines)
            for lang, lines in zip(languages, prepared.raw(split), strict=True)
        )
        return [tuple(len(tokens) + 1 for tokens in side) for side in encoded]

    def measured_graphs(self, architecture, spec, weights, precision, latency):
        from hat.deploy.beam_search import needed_graphs
        from hat.deploy.building.graphs import build_graphs, graph_names

        names = needed_graphs(graph_names(precision), latency.beam)
        return build_graphs(architecture, spec, weights, precision, names=names)

    def workload(self, spec, latency):
        return {"task": self.name, "beam": latency.beam, "source_vocabulary": spec.source_vocabulary}

    def protocol(self, spec, latency):
        vocabularies = {f"{side}_vocabulary": size for side, size in self.vocabularies(spec).items()}
        return {"beam": latency.beam, **vocabularies}

    def calls(self, run, split, count, seed):
        from sentencepiece import SentencePieceProcessor

        from hat.data.translation.pairs import sample_text

        prepared, most = run.prepared(), run.config.data.max_length
        sources = [source for source in sample_text(prepared, split, count, seed)[0] if source.strip()]
        processor = SentencePieceProcessor(model_file=str(prepared.sentencepiece(prepared.source_lang)))
        ids = [[*found[:most], processor.eos_id()] for found in processor.encode(sources)]
        return {"sentences": sources, "ids": ids}

    def bundle_maker(self, run, name, weights, inputs):
        from hat.export.translation.bundle_maker import BundleMaker

        return BundleMaker.of(run, name, weights, inputs)

    def write_trial_bundle(self, run, model, precision, folder):
        from hat.export.translation.trial_bundle import write_trial_bundle

        write_trial_bundle(run, model, precision, folder)

    def bundle_size(self, run, precision):
        from hat.export.translation.bundle_size import BundleSize

        return BundleSize(run, precision)

    def inherited_loss(self, run, parts, device):
        from hat.evaluation.inherited_loss import InheritedLoss
        from hat.fairseq_plugin.datasets import load_batches
        from hat.models.checkpoint import load_model

        most = run.config.search.max_tokens
        batches = [load_batches(run.prepared(), "valid", most, part) for part in parts]
        return InheritedLoss(load_model(run.super_), batches, device)
