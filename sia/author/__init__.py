"""Authors write target agents: the brief they get, the files they leave."""
