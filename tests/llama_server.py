"""llama.cpp's own server with a model of a hundred kilobytes: `python -m tests.llama_server MODEL PORT` writes the model and serves it.

Runs in an environment of its own, with `gguf` and `xllamacpp` (.ci/servers.sh).
"""

from __future__ import annotations

import signal
import sys
from typing import Any

_WIDTH, _CONTEXT = 32, 64
_WORDS = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256)), b" ", b"a", b"b", b"c", b"d"]
_TYPES = [2, 3, 3, *[6] * 256, *[1] * 5]  # unknown, control, bytes, normal (gguf.TokenType)
_LAYER = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def write(path: str) -> None:
    """A llama of one layer whose weights are all alike: it can be loaded, and says nothing sensible."""
    import gguf  # type: ignore[import-not-found]
    import numpy as np  # type: ignore[import-not-found,unused-ignore]

    def weights(*shape: int) -> Any:
        return np.full(shape, 0.01, np.float32)

    made = gguf.GGUFWriter(path, "llama")
    made.add_context_length(_CONTEXT)
    made.add_embedding_length(_WIDTH)
    made.add_feed_forward_length(_WIDTH)
    made.add_block_count(1)
    made.add_head_count(1)
    made.add_head_count_kv(1)
    made.add_layer_norm_rms_eps(1e-5)
    made.add_rope_dimension_count(_WIDTH)
    made.add_vocab_size(len(_WORDS))
    made.add_tokenizer_model("llama")
    made.add_token_list(_WORDS)
    made.add_token_scores([0.0] * len(_WORDS))
    made.add_token_types(_TYPES)
    made.add_tensor("token_embd.weight", weights(len(_WORDS), _WIDTH))
    made.add_tensor("output.weight", weights(len(_WORDS), _WIDTH))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        made.add_tensor(f"{name}.weight", weights(_WIDTH))
    for name in _LAYER:
        made.add_tensor(f"blk.0.{name}.weight", weights(_WIDTH, _WIDTH))
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()


def main(path: str, port: int) -> None:
    """Serves until a signal ends it."""
    import xllamacpp  # type: ignore[import-not-found]

    write(path)
    settings = xllamacpp.CommonParams()
    settings.model.path, settings.port, settings.n_ctx, settings.n_parallel, settings.warmup = (
        path,
        port,
        _CONTEXT,
        1,
        False,
    )
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
