"""What one translator needs, in a process of its own: prints JSON with seconds to import and to load, and peak memory.

python benchmarks/decoder_resources.py hat|ctranslate2 FOLDER SOURCES.json
"""

import json
import sys
import time


def main(kind, folder, sources_path):
    start = time.perf_counter()
    if kind == "hat":
        from hat import Translator  # the module's own imports happen here
    else:
        import ctranslate2
    imported = time.perf_counter()
    if kind == "hat":
        translator = Translator(folder)
        translator.translate_ids([[4, 2]])  # opens the graphs that it needs
    else:
        translator = ctranslate2.Translator(folder, compute_type="int8", intra_threads=1, inter_threads=1)
    loaded = time.perf_counter()
    with open(sources_path, encoding="utf-8") as handle:
        sources = json.load(handle)
    if kind == "hat":
        translator.translate_ids(sources["ids"])
    else:
        translator.translate_batch(sources["words"], beam_size=5, max_batch_size=2048, batch_type="tokens")
    print(json.dumps({"import_s": imported - start, "load_s": loaded - imported, "peak_mib": _peak_mib()}))


def _peak_mib():
    """Of this process alone; getrusage would count what its parent had at the fork."""
    with open("/proc/self/status", encoding="utf-8") as handle:
        peak = next(line for line in handle if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
