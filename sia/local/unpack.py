"""`python -m sia.local.unpack FILE FOLDER`: a GGUF file becomes a folder of transformers' form, in bfloat16."""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


def main() -> None:
    """Unpacks; an exception's last line says what is wrong with the file."""
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # The weights are no longer quantised, and transformers refuses to save what says that it is.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
