"""Runs one function of one file on inputs in shared memory: the reference in one process, the candidate in another.

`python -I -B worker.py SOCKET ARENA SIZE SCRATCH FILE FUNCTION THREADS`. A request names where its input lies: in the
arena, or behind handles of memory on a GPU. After the file is loaded nothing that this process says can be trusted:
time is taken, and outputs and inputs are compared, elsewhere.
"""

import base64
import importlib.util
import json
import mmap
import os
import pickle
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Answers one line with one line, until the socket is closed."""
    import confine

    channel, arena, size, scratch, file, function, threads = sys.argv[1:]
    confine.die_with_parent()
    version = confine.restrict([scratch, "/dev"])
    os.chdir(scratch)
    import torch
    from arena import views

    torch.set_num_threads(int(threads))
    memory = mmap.mmap(int(arena), int(size))
    stream = socket.socket(fileno=int(channel))
    lines = stream.makefile("rb")

    def say(**what: object) -> None:
        stream.sendall(json.dumps(what).encode() + b"\n")

    try:
        spec = importlib.util.spec_from_file_location("kernel", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["kernel"] = module
        spec.loader.exec_module(module)
        call = getattr(module, function, None)
    except BaseException as error:  # noqa: BLE001 - whatever a candidate does when it is loaded is told, not raised
        say(error=f"{type(error).__name__}: {error}"[:300])
        return
    say(ready=call is not None, landlock=version)
    shared: dict[str, tuple[object, torch.Tensor]] = {}
    for line in lines:
        request = json.loads(line)
        if "handles" in request:
            handles = request["handles"]
            if handles not in shared:
                shared = {handles: pickle.loads(base64.b64decode(handles))}
            data, room = shared[handles]
        else:
            tensors = dict(views(memory, request["layout"]))
            room, x, mask = (tensors.pop(name) for name in ("output", "x", "mask"))
            data = x, mask, tensors, request["config"]
        if not request.get("work", True):
            say(done=True)
            continue
        try:
            with torch.inference_mode():
                output = call(data)
                if output.shape != room.shape:
                    raise ValueError(f"the output has the shape {list(output.shape)}, not {list(room.shape)}")
                if output.dtype != room.dtype:
                    raise ValueError(f"the output is {output.dtype}, not {room.dtype}")
                room.copy_(output)
                if room.is_cuda:
                    torch.cuda.synchronize()
        except BaseException as error:  # noqa: BLE001 - whatever a candidate raises is told
            say(error=f"{type(error).__name__}: {error}"[:300])
        else:
            say(done=True)


if __name__ == "__main__":
    main()
