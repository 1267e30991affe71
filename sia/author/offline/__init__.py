"""An author without a language model: moves over a grammar of target agents for each kind of task, chosen by a bandit.

grammar.py       recipes, moves and kinds: what a kind of task has to bring along
kinds/           one module a kind: what it reads of the public files, its recipe, its first agent, its moves
templates/       one template a kind: the target agent that a recipe says
bandit.py        which move is tried next, and what was learnt of it
improvement.py   the reasons, in words
"""
