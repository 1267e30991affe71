"""The training algorithms: each module states its formula and its source, and holds nothing but tensors.

Shapes: B sequences, T answer tokens (1 where an action is a choice), G groups (prompts) of N sampled answers each, with
B = G N. `mask` is 1 on the tokens of the answer, 0 on padding. Every function gives a loss to be minimised, a mean over
the sequences, or what such a loss needs.
"""
