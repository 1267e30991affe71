"""Memory that the evaluator shares with one worker: the inputs of a call, and room for its output."""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator

import torch

PAGE = 4096
Layout = dict[str, tuple[int, list[int], str]]
"""Name to offset in bytes, shape and dtype."""


def layout_of(tensors: dict[str, torch.Tensor]) -> Layout:
    """Where the tensors lie, each from a page of its own."""
    layout: Layout = {}
    offset = 0
    for name, tensor in tensors.items():
        layout[name] = (offset, list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        offset += -(-tensor.nbytes // PAGE) * PAGE
    return layout


def views(memory: mmap.mmap, layout: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in the memory, not copied."""
    for name, (offset, shape, kind) in layout.items():
        dtype = getattr(torch, kind)
        count = torch.Size(shape).numel()
        yield name, torch.frombuffer(memory, dtype=dtype, count=count, offset=offset).view(shape)


def shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """A file descriptor to hand on and the memory behind it; nobody can shrink it where the kernel knows seals."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    else:
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            descriptor = os.dup(file.fileno())
    return descriptor, mmap.mmap(descriptor, size)
