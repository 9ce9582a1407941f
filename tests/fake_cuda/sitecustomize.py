"""With this folder in PYTHONPATH, onnxruntime says that it has a CUDA provider, and computes on the processor."""

import onnxruntime

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Session(onnxruntime.InferenceSession):
    """A session that takes CUDA for the processor; who left it out finds it missing."""

    def __init__(self, model, options, providers, **others):
        names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
        super().__init__(model, options, providers=[CPU], **others)
        self._names = names

    def get_providers(self):
        return self._names


onnxruntime.InferenceSession = Session
onnxruntime.get_available_providers = lambda: [CUDA, CPU]
onnxruntime.preload_dlls = lambda: None
